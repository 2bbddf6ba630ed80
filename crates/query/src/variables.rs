//! A session's own values of the settings that it may change.

use std::collections::BTreeMap;
use tidegate_core::{Error, Kind, Result, SETTINGS, Scope, Settings, setting_find};

/// What a session has SET, over what the server was given.
pub struct Variables {
    server: Settings,
    own: BTreeMap<&'static str, String>,
    changed: Vec<(String, String)>,
}

impl Variables {
    /// Nothing set yet.
    pub fn new(server: Settings) -> Self {
        Variables { server, own: BTreeMap::new(), changed: Vec::new() }
    }

    /// The value of a setting; 42704 for one that there is not.
    pub fn get(&self, name: &str) -> Result<String> {
        let setting = setting_find(name)?;
        Ok(self.own.get(setting.name).cloned().unwrap_or_else(|| self.server.get(setting.name)))
    }

    /// SET.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let setting = setting_find(name)?;
        let how = match setting.scope {
            Scope::Session => {
                let value = match setting.name {
                    "timezone" => crate::datetime::zone_name(value)?,
                    _ => setting.check(value)?,
                };
                self.changed.push((setting.name.to_string(), value.clone()));
                self.own.insert(setting.name, value);
                return Ok(());
            }
            Scope::System => "Use ALTER SYSTEM SET.",
            Scope::Start => "It is given when the server is started.",
            Scope::Fixed => "It cannot be changed.",
        };
        Err(Error::new(Kind::InvalidParameter, format!("parameter \"{}\" cannot be changed now", setting.name))
            .hint(how))
    }

    /// RESET, and SET … TO DEFAULT.
    pub fn reset(&mut self, name: &str) -> Result<()> {
        let setting = setting_find(name)?;
        if self.own.remove(setting.name).is_some() {
            self.changed.push((setting.name.to_string(), self.server.get(setting.name)));
        }
        Ok(())
    }

    /// RESET ALL.
    pub fn reset_all(&mut self) {
        for name in std::mem::take(&mut self.own).into_keys() {
            self.changed.push((name.to_string(), self.server.get(name)));
        }
    }

    /// What has changed since this was last asked, for ParameterStatus.
    pub fn take_changed(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.changed)
    }

    /// Name, value and description of all settings: SHOW ALL.
    pub fn all(&self) -> Vec<(String, String, String)> {
        let value = |name: &str| self.get(name).unwrap_or_default();
        SETTINGS.iter().map(|s| (s.name.to_string(), value(s.name), s.about.to_string())).collect()
    }
}
