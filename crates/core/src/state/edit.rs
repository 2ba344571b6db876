//! Changes of a state that people ask for: forgetting and renaming. AWS is never part of it.

use thiserror::Error;

use super::{Entry, Retired, State};
use crate::{
    config::SiteName,
    resource::{Address, Kind},
};

/// Why a state cannot be changed as asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EditError {
    /// Nothing is recorded there.
    #[error("the state has no object at `{address}`")]
    Unknown {
        /// Where.
        address: Address,
    },
    /// No retired object has the id.
    #[error("the state has no retired object `{id}`")]
    NotRetired {
        /// The id.
        id: String,
    },
    /// Two kinds.
    #[error("`{from}` is of the kind `{}`, `{to}` of the kind `{}`", from.kind(), to.kind())]
    Kinds {
        /// The old address.
        from: Address,
        /// The new one.
        to: Address,
    },
    /// Something is recorded at the new address.
    #[error("`{to}` is taken by `{id}`")]
    Taken {
        /// The new address.
        to: Address,
        /// What is recorded there.
        id: String,
    },
    /// The address says what the object is.
    #[error("`{from}` says what the object is, so it can have no other address")]
    Content {
        /// The address.
        from: Address,
    },
    /// Nothing of a site is recorded.
    #[error("the state has nothing of a site `{site}`")]
    NoSite {
        /// The site.
        site: String,
    },
}

/// What the state forgets of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgotten {
    /// The address.
    pub address: Address,
    /// The object, if one was recorded.
    pub entry: Option<Entry>,
}

impl State {
    /// Forgets the object at `address` and what was begun there. What was saved for going back, and when a name was moved,
    /// is kept: an object that is found again still needs it.
    ///
    /// # Errors
    /// If nothing is recorded there.
    pub fn forget(&mut self, address: &Address) -> Result<Forgotten, EditError> {
        let entry = self.resources.remove(address);
        let intent = self.intents.remove(address);
        if entry.is_none() && intent.is_none() {
            return Err(EditError::Unknown {
                address: address.clone(),
            });
        }
        Ok(Forgotten {
            address: address.clone(),
            entry,
        })
    }

    /// Forgets a retired object, so that it is not deleted.
    ///
    /// # Errors
    /// If no retired object has the id.
    pub fn forget_retired(&mut self, id: &str) -> Result<Retired, EditError> {
        let at = self.retired.iter().position(|retired| retired.id == id);
        match at {
            Some(at) => Ok(self.retired.remove(at)),
            None => Err(EditError::NotRetired { id: id.to_owned() }),
        }
    }

    /// Gives the object at `from`, and all that is remembered of it, the address `to`.
    ///
    /// # Errors
    /// If nothing is recorded at `from`, something at `to`, or the object cannot have that address.
    pub fn rename(&mut self, from: &Address, to: &Address) -> Result<(), EditError> {
        if from.kind() != to.kind() {
            return Err(EditError::Kinds {
                from: from.clone(),
                to: to.clone(),
            });
        }
        if !self.resources.contains_key(from) {
            return Err(EditError::Unknown { address: from.clone() });
        }
        if let Some(entry) = self.resources.get(to) {
            return Err(EditError::Taken {
                to: to.clone(),
                id: entry.id.clone(),
            });
        }
        if !can_become(from, to) {
            return Err(EditError::Content { from: from.clone() });
        }
        self.move_all(from, to);
        Ok(())
    }

    /// Gives everything of the site `old` the addresses that it has as the site `new`; gives the addresses.
    ///
    /// # Errors
    /// If nothing of `old` is recorded, or an address of `new` is taken. Nothing is changed then.
    pub fn rename_site(&mut self, old: &SiteName, new: &SiteName) -> Result<Vec<(Address, Address)>, EditError> {
        let of_site = |address: &Address| of_renamed_site(address, old.as_str(), new.as_str());
        let pairs: Vec<(Address, Address)> = self
            .resources
            .keys()
            .filter_map(|address| Some((address.clone(), of_site(address)?)))
            .collect();
        if pairs.is_empty() {
            return Err(EditError::NoSite { site: old.to_string() });
        }
        let taken = pairs
            .iter()
            .find_map(|(_, to)| self.resources.get(to).map(|entry| (to.clone(), entry.id.clone())));
        if let Some((to, id)) = taken {
            return Err(EditError::Taken { to, id });
        }
        for (from, to) in &pairs {
            self.move_all(from, to);
        }
        // What is on its way out or was begun under the old name, without an object of its own.
        for retired in &mut self.retired {
            if let Some(to) = of_site(&retired.address) {
                retired.address = to;
            }
        }
        let begun: Vec<Address> = self
            .intents
            .keys()
            .filter(|at| of_site(at).is_some())
            .cloned()
            .collect();
        for from in begun {
            if let (Some(to), Some(intent)) = (of_site(&from), self.intents.remove(&from)) {
                self.intents.insert(to, intent);
            }
        }
        Ok(pairs)
    }

    fn move_all(&mut self, from: &Address, to: &Address) {
        fn rekey<V>(map: &mut std::collections::BTreeMap<Address, V>, from: &Address, to: &Address) {
            if let Some(value) = map.remove(from) {
                map.insert(to.clone(), value);
            }
        }
        rekey(&mut self.resources, from, to);
        rekey(&mut self.intents, from, to);
        rekey(&mut self.cutovers, from, to);
        rekey(&mut self.saved, from, to);
        for retired in self.retired.iter_mut().filter(|retired| retired.address == *from) {
            retired.address = to.clone();
        }
    }
}

/// Whether the object at `from` can be the one at `to`: the addresses of records, rules and targets say which they are.
fn can_become(from: &Address, to: &Address) -> bool {
    match from.kind() {
        Kind::ValidationRecord | Kind::AliasRecord | Kind::PortClosure | Kind::InstanceIngress => false,
        Kind::Target => from.key().rsplit('.').next() == to.key().rsplit('.').next(),
        Kind::Certificate
        | Kind::SecurityGroup
        | Kind::TargetGroup
        | Kind::LoadBalancer
        | Kind::Listener
        | Kind::ListenerCertificate
        | Kind::ListenerRule
        | Kind::WebAclAssociation => true,
    }
}

/// The address of a resource of the site `old` once the site is called `new`; `None` for all others.
fn of_renamed_site(address: &Address, old: &str, new: &str) -> Option<Address> {
    // A site's name has no dot, so it is a whole part of the key.
    let at = match address.kind() {
        Kind::Certificate | Kind::TargetGroup | Kind::Target => 0,
        Kind::ListenerRule | Kind::ListenerCertificate => 1,
        Kind::ValidationRecord
        | Kind::SecurityGroup
        | Kind::InstanceIngress
        | Kind::LoadBalancer
        | Kind::Listener
        | Kind::WebAclAssociation
        | Kind::AliasRecord
        | Kind::PortClosure => return None,
    };
    let mut parts: Vec<&str> = address.key().split('.').collect();
    let part = parts.get_mut(at).filter(|part| **part == old)?;
    *part = new;
    Some(Address::new(address.kind(), parts.join(".")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Cutover, Intent, Operation, Origin, Saved};

    fn at(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn site(text: &str) -> SiteName {
        SiteName(text.to_owned())
    }

    fn state(addresses: &[&str]) -> State {
        let mut state = State::empty(crate::config::StackName("www".to_owned()), "lineage".to_owned());
        for (number, address) in addresses.iter().enumerate() {
            let entry = Entry {
                id: format!("id-{number}"),
                outputs: [].into(),
                origin: Origin::Created,
                recorded_at: jiff::Timestamp::UNIX_EPOCH,
            };
            state.resources.insert(at(address), entry);
        }
        state
    }

    fn saved() -> Saved {
        let spec = serde_json::json!({
            "kind": "alias_record",
            "settings": { "zone": "Z1", "name": "www.example.com", "records": {} }
        });
        Saved {
            spec: serde_json::from_value(spec).unwrap(),
            saved_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn intent() -> Intent {
        Intent {
            operation: Operation::Create,
            token: None,
            id: None,
            begun_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn forgetting_keeps_what_going_back_needs() {
        let record = at("alias_record.www.example.com");
        let mut state = state(&["alias_record.www.example.com", "target_group.www"]);
        state.saved.insert(record.clone(), saved());
        state.intents.insert(record.clone(), intent());
        let cutover = Cutover::found(jiff::Timestamp::UNIX_EPOCH);
        state.cutovers.insert(record.clone(), cutover);
        let forgotten = state.forget(&record).unwrap();
        assert_eq!(forgotten.entry.unwrap().id, "id-0");
        assert!(state.saved.contains_key(&record) && state.cutovers.contains_key(&record));
        assert!(state.intents.is_empty());
        assert_eq!(
            state.forget(&record).unwrap_err().to_string(),
            "the state has no object at `alias_record.www.example.com`"
        );
        // What was only begun can be forgotten too.
        state.intents.insert(at("listener.443"), intent());
        assert_eq!(state.forget(&at("listener.443")).unwrap().entry, None);
    }

    #[test]
    fn a_new_address_is_of_the_same_kind_and_free() {
        let mut state = state(&["target_group.www", "target_group.api", "alias_record.www.example.com"]);
        let error = |state: &mut State, from: &str, to: &str| state.rename(&at(from), &at(to)).unwrap_err().to_string();
        assert!(error(&mut state, "target_group.www", "certificate.www").contains("of the kind `certificate`"));
        assert!(error(&mut state, "target_group.www", "target_group.api").contains("taken by `id-1`"));
        assert!(error(&mut state, "target_group.none", "target_group.x").contains("no object"));
        let record = "alias_record.www.example.com";
        assert!(error(&mut state, record, "alias_record.web.example.com").contains("no other address"));
        state.rename(&at("target_group.www"), &at("target_group.web")).unwrap();
        assert_eq!(state.id(&at("target_group.web")), Some("id-0"));
        assert_eq!(state.id(&at("target_group.www")), None);
    }

    #[test]
    fn a_target_stays_the_same_instance() {
        let mut state = state(&["target.www.i-1"]);
        assert!(state.rename(&at("target.www.i-1"), &at("target.www.i-2")).is_err());
        state.rename(&at("target.www.i-1"), &at("target.web.i-1")).unwrap();
    }

    #[test]
    fn a_renamed_site_takes_all_of_its_addresses_along_and_none_of_others() {
        let mut state = state(&[
            "certificate.www",
            "target_group.www",
            "target.www.i-1",
            "target.www.i-2",
            "listener_rule.443.www",
            "listener_rule.443.www.2",
            "listener_certificate.443.www",
            "listener.443",
            "target_group.www-2",
            "listener_rule.443.www-2",
            "alias_record.www.example.com",
        ]);
        state.intents.insert(at("listener_rule.443.www.proof"), intent());
        let pairs = state.rename_site(&site("www"), &site("web")).unwrap();
        assert_eq!(pairs.len(), 7);
        let addresses: Vec<String> = state.resources.keys().map(ToString::to_string).collect();
        assert_eq!(
            addresses,
            [
                "certificate.web",
                "target_group.web",
                "target_group.www-2",
                "listener.443",
                "listener_certificate.443.web",
                "listener_rule.443.web",
                "listener_rule.443.web.2",
                "listener_rule.443.www-2",
                "target.web.i-1",
                "target.web.i-2",
                "alias_record.www.example.com",
            ]
        );
        assert!(state.intents.contains_key(&at("listener_rule.443.web.proof")));
        let before = state.clone();
        assert!(state.rename_site(&site("www"), &site("x")).is_err());
        assert!(
            state
                .rename_site(&site("web"), &site("www-2"))
                .unwrap_err()
                .to_string()
                .contains("taken")
        );
        assert_eq!(state, before);
    }

    #[test]
    fn a_retired_object_is_forgotten_by_its_id() {
        let mut state = state(&["target_group.www"]);
        state.retired.push(Retired {
            address: at("target_group.www"),
            id: "old".to_owned(),
            spec: saved().spec,
            retired_at: jiff::Timestamp::UNIX_EPOCH,
        });
        assert!(state.forget_retired("id-0").is_err());
        assert_eq!(state.forget_retired("old").unwrap().id, "old");
        assert!(state.retired.is_empty());
    }
}
