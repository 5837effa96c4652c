//! The sensors of modules in the store of descriptors, each under `sensor.MODULE.NAME`.

use std::collections::BTreeSet;
use std::os::fd::AsFd;

use module_api::{ModuleName, SensorFd};
use restart::KeepError;

use super::Supervisor;
use super::sensor_keeping::{InstanceKeeper, pass};

/// What the names of all sensors in the store begin with.
const PREFIX: &str = "sensor.";

/// The module and the sensor's own name, if `name` is that of a sensor in the store. Neither has a dot in it.
pub(crate) fn parse(name: &str) -> Option<(ModuleName, &str)> {
    let (module, sensor) = name.strip_prefix(PREFIX)?.split_once('.')?;
    Some((ModuleName::new(module).ok()?, sensor))
}

/// The name in the store of the sensor `sensor` of a module.
pub(super) fn stored_name(module: &ModuleName, sensor: &str) -> String {
    format!("{}{sensor}", of_module(module))
}

fn of_module(module: &ModuleName) -> String {
    format!("{PREFIX}{module}.")
}

impl Supervisor {
    /// Copies of the sensors that an earlier instance has handed out, here or in the process before.
    pub(super) fn sensors(&self, module: &ModuleName) -> Vec<SensorFd> {
        let _alone = pass(&self.sensor_gate);
        let prefix = of_module(module);
        let mut sensors = Vec::new();
        for stored in self.descriptors.names() {
            let Some(name) = stored.strip_prefix(&prefix) else { continue };
            let copy = self.descriptors.get(&stored).map_err(|error| error.to_string());
            let sensor = copy.and_then(|copy| {
                let copy = copy.ok_or_else(|| "it is gone".to_owned())?;
                SensorFd::new(name, copy).map_err(|error| error.to_string())
            });
            match sensor {
                Ok(sensor) => sensors.push(sensor),
                Err(error) => {
                    tracing::warn!(%error, name = stored, "a sensor is not given to its module");
                }
            }
        }
        sensors
    }

    /// Keeps what an instance has answered in place of what earlier ones have handed out. What it has had kept by itself is in
    /// its own charge and stays.
    pub(super) async fn keep_sensors(
        &self,
        module: &ModuleName,
        sensors: Vec<SensorFd>,
        keeper: &InstanceKeeper,
    ) {
        for (sensor, error) in self.put_into_the_store(module, &sensors, keeper) {
            let text = format!(
                "sensor {sensor} of module {module} is not kept for the next process: {error}"
            );
            tracing::warn!("{text}");
            if let Err(error) = self.spool.publish_agent_event("sensor_not_kept", &text).await {
                tracing::error!(%error, "the warning about a sensor of {module} is not in the spool");
            }
        }
    }

    fn put_into_the_store(
        &self,
        module: &ModuleName,
        sensors: &[SensorFd],
        keeper: &InstanceKeeper,
    ) -> Vec<(String, KeepError)> {
        let _alone = pass(&self.sensor_gate);
        let (prefix, kept) = (of_module(module), keeper.kept());
        let name_of = |sensor: &SensorFd| stored_name(module, sensor.name());
        let answered: BTreeSet<String> = sensors.iter().map(name_of).collect();
        self.forget_where(|name| {
            name.starts_with(&prefix) && !answered.contains(name) && !kept.contains(name)
        });
        let left_to_us = sensors.iter().filter(|sensor| !kept.contains(&name_of(sensor)));
        let failed = |sensor: &SensorFd| {
            let error = self.descriptors.keep(&name_of(sensor), sensor.as_fd()).err()?;
            Some((sensor.name().to_owned(), error))
        };
        left_to_us.filter_map(failed).collect()
    }

    /// From now on the next process has its copies of all sensors (`true`), or the hand-over was called off (`false`): what
    /// modules want to have kept meanwhile is refused, because it would be lost without a word.
    pub(crate) fn sensors_are_handed_over(&self, handed_over: bool) {
        *pass(&self.sensor_gate) = handed_over;
    }

    /// Closes the sensors of a module that is not to run again.
    pub(crate) fn forget_sensors(&self, module: &ModuleName) {
        let _alone = pass(&self.sensor_gate);
        let prefix = of_module(module);
        self.forget_where(|name| name.starts_with(&prefix));
    }

    fn forget_where(&self, unwanted: impl Fn(&str) -> bool) {
        for name in self.descriptors.names().iter().filter(|name| unwanted(name)) {
            self.descriptors.forget(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_the_store_names_the_module_and_its_sensor() {
        let (module, sensor) = parse("sensor.fim_2.inotify-1").unwrap();
        assert_eq!((module.as_str(), sensor), ("fim_2", "inotify-1"));
        for other in ["control", "sensor.", "sensor.fim", "sensor..inotify", "sensors.fim.inotify"]
        {
            assert!(parse(other).is_none(), "{other}");
        }
        assert_eq!(
            parse(&format!("{}a.b", of_module(&module))).unwrap().1,
            "a.b",
            "SensorFd refuses it"
        );
    }
}
