//! Rule: each crate knows only the crates it may know.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Finding;

/// Which crates of ours each crate may name, in tests too.
const MAY_KNOW: [(&str, &[&str]); 6] = [
    ("module-api", &[]),
    ("restart", &["module-api"]),
    ("command-manager", &[]),
    ("agent-core", &["module-api", "restart", "command-manager"]),
    ("agent-bin", &["module-api", "restart", "command-manager", "agent-core", ANY_MODULE]),
    ("xtask", &[]),
];

/// Each of the real modules, and what such a module may know.
const ANY_MODULE: &str = "a module";
const MODULES_FOLDER: &str = "agent-bin/modules";
const MODULE_MAY_KNOW: &[&str] = &["module-api"];

/// An error without a type is for programs; a library's caller wants to tell errors apart.
const BINARIES_ONLY: &str = "anyhow";
const BINARIES: [&str; 2] = ["agent-bin", "xtask"];

/// Takes what `cargo metadata` says about the workspace in folder `root`.
pub(super) fn check(metadata: &Value, root: &Path) -> Result<Vec<Finding>> {
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let crates =
        packages.iter().map(|package| Crate::parse(package, root)).collect::<Result<Vec<_>>>()?;
    Ok(crates.iter().flat_map(|one| findings_of(one, &crates)).collect())
}

struct Crate<'a> {
    name: &'a str,
    /// Path of its Cargo.toml below the root, and its text where it could be read.
    manifest: &'a Path,
    manifest_text: String,
    dependencies: Vec<&'a str>,
}

impl<'a> Crate<'a> {
    fn parse(package: &'a Value, root: &Path) -> Result<Self> {
        let name =
            package["name"].as_str().context("cargo metadata has a package without a name")?;
        let path =
            package["manifest_path"].as_str().with_context(|| format!("{name} has no manifest"))?;
        let dependencies = package["dependencies"]
            .as_array()
            .with_context(|| format!("{name} has no dependencies"))?;
        Ok(Self {
            name,
            manifest: Path::new(path).strip_prefix(root).unwrap_or_else(|_| Path::new(path)),
            manifest_text: fs::read_to_string(path)
                .with_context(|| format!("cannot read {path}"))?,
            dependencies: dependencies
                .iter()
                .filter_map(|dependency| dependency["name"].as_str())
                .collect(),
        })
    }

    fn is_module(&self) -> bool {
        self.manifest.starts_with(MODULES_FOLDER)
    }

    /// What it may know; none when no rule was written for it.
    fn may_know(&self) -> Option<&'static [&'static str]> {
        if self.is_module() {
            return Some(MODULE_MAY_KNOW);
        }
        MAY_KNOW.iter().find(|(name, _)| *name == self.name).map(|(_, known)| *known)
    }

    fn line_of(&self, dependency: &str) -> usize {
        let names_it = |line: &str| {
            line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with([' ', '.', '=']))
                || line.contains(&format!("\"{dependency}\""))
        };
        self.manifest_text.lines().position(names_it).map_or(1, |index| index + 1)
    }
}

fn findings_of(one: &Crate<'_>, all: &[Crate<'_>]) -> Vec<Finding> {
    let Some(may_know) = one.may_know() else {
        let advice = format!("write down in xtask/src/tidy/crates.rs what {} may know", one.name);
        return vec![Finding::new(one.manifest, 1, "crate without a rule", advice)];
    };
    let mut findings = Vec::new();
    for dependency in &one.dependencies {
        let line = one.line_of(dependency);
        if *dependency == BINARIES_ONLY && !BINARIES.contains(&one.name) {
            let advice = format!(
                "{BINARIES_ONLY} is for binaries, give {} an error type of its own",
                one.name
            );
            findings.push(Finding::new(one.manifest, line, "crate dependency", advice));
        }
        let Some(ours) =
            all.iter().find(|other| other.name == *dependency && other.name != one.name)
        else {
            continue;
        };
        let known =
            may_know.contains(&ours.name) || (ours.is_module() && may_know.contains(&ANY_MODULE));
        if !known {
            let advice = format!("{} must not know {dependency}, remove the dependency", one.name);
            findings.push(Finding::new(one.manifest, line, "crate dependency", advice));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Findings for crates given as (folder, dependencies); the crate is called as its folder.
    fn findings(crates: &[(&str, &[&str])]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        let packages: Vec<Value> = crates
            .iter()
            .map(|(folder, dependencies)| {
                let manifest = root.path().join(folder).join("Cargo.toml");
                fs::create_dir_all(manifest.parent().unwrap()).unwrap();
                let lines: String = dependencies.iter().map(|name| format!("{name}.workspace = true\n")).collect();
                fs::write(&manifest, format!("[dependencies]\n{lines}")).unwrap();
                let named: Vec<Value> = dependencies.iter().map(|name| json!({ "name": name })).collect();
                let name = folder.rsplit('/').next().unwrap();
                json!({ "name": name, "manifest_path": manifest.to_str().unwrap(), "dependencies": named })
            })
            .collect();
        let found = check(&json!({ "packages": packages }), root.path()).unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_layout_of_the_project_is_fine() {
        let crates: [(&str, &[&str]); 7] = [
            ("module-api", &["serde"]),
            ("restart", &["tokio", "module-api"]),
            ("command-manager", &["rusqlite"]),
            ("agent-core", &["module-api", "restart", "command-manager"]),
            ("agent-bin", &["anyhow", "agent-core", "logcollector"]),
            ("agent-bin/modules/logcollector", &["module-api"]),
            ("xtask", &["anyhow"]),
        ];
        assert_eq!(findings(&crates), [""; 0]);
    }

    #[test]
    fn each_forbidden_acquaintance_is_found_at_its_line() {
        let acquaintances = [
            ("module-api", "restart"),
            ("restart", "command-manager"),
            ("command-manager", "module-api"),
            ("agent-core", "agent-bin/modules/fim"),
            ("agent-bin/modules/fim", "agent-bin/modules/sca"),
            ("agent-bin/modules/fim", "restart"),
            ("xtask", "agent-core"),
        ];
        for (one, other) in acquaintances {
            let (name, known) =
                (one.rsplit('/').next().unwrap(), other.rsplit('/').next().unwrap());
            assert_eq!(
                findings(&[(one, &["serde", known]), (other, &[])]),
                [format!(
                    "{one}/Cargo.toml:3: crate dependency: {name} must not know {known}, remove the dependency"
                )]
            );
        }
    }

    #[test]
    fn a_library_with_errors_without_a_type_is_found() {
        assert!(
            findings(&[("restart", &["anyhow"])])[0]
                .starts_with("restart/Cargo.toml:2: crate dependency: anyhow")
        );
    }

    #[test]
    fn a_new_crate_needs_a_rule() {
        assert!(
            findings(&[("sidecar", &[])])[0]
                .starts_with("sidecar/Cargo.toml:1: crate without a rule: ")
        );
    }
}
