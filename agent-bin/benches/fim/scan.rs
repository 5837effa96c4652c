//! The first and the second scan, beside what hashes the same files.

use crate::Findings;
use crate::others::{aide, openssl};
use crate::scale::{Bound, Scale};
use crate::watched::{last_scan, until_idle, watching};

/// Times the wall time of openssl.
const FIRST: f64 = 1.5;
/// Times faster than the first.
const SECOND: f64 = 10.0;
/// Times faster than aide.
const AIDE: f64 = 3.0;

pub(crate) fn measure(found: &mut Findings, scale: &Scale) -> Result<(), String> {
    let folder = crate::folder()?;
    let tree = scale.tree(folder.path())?;
    eprintln!("scanning {}, {} times", tree.display(), scale.rounds);
    // The page cache is warm from here on.
    openssl(&tree)?;
    let (mut firsts, mut seconds, mut openssls, mut aides) = (vec![], vec![], vec![], vec![]);
    let mut no_aide = None;
    for _ in 0..scale.rounds {
        openssls.push(openssl(&tree)?);
        if no_aide.is_none() {
            match aide(&tree, folder.path())? {
                Ok(ms) => aides.push(ms),
                Err(reason) => no_aide = Some(reason),
            }
        }
        let mut agent = watching(&[&tree], false)?;
        firsts.push(last_scan(&until_idle(&agent)?)?);
        seconds.push(last_scan(&agent.ask(&["fim", "scan"])?)?);
        agent.stop()?;
    }
    // A scan of less than a millisecond would be divided by.
    let divisors: Vec<f64> = seconds.iter().map(|ms| ms.max(1.0)).collect();
    found.measures.extend([
        scale.measure("first scan", "ms", &firsts, Bound::None),
        scale.measure("openssl dgst -sha256", "ms", &openssls, Bound::None),
        scale.quotient("first scan / openssl", &firsts, &openssls, Bound::AtMost(FIRST)),
        scale.measure("second scan", "ms", &seconds, Bound::None),
        scale.quotient("first scan / second scan", &firsts, &divisors, Bound::AtLeast(SECOND)),
    ]);
    match no_aide {
        Some(reason) => found.skip("aide --init / first scan", &reason),
        None => found.measures.push(scale.quotient(
            "aide --init / first scan",
            &aides,
            &firsts,
            Bound::AtLeast(AIDE),
        )),
    }
    Ok(())
}
