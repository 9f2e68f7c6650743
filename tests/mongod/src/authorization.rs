//! What roles allow (MongoDB manual, "Built-In Roles").

use bson::{Bson, Document, doc};

/// A role in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    pub name: String,
    pub database: String,
}

/// What is to be done in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InDatabase {
    Find,
    /// Which collections and indexes there are, and how large.
    Inspect,
    /// Documents.
    Write,
    /// Collections and indexes.
    Define,
    /// Options of collections, profiling.
    Administrate,
    Drop,
    ViewUsers,
    /// Users and the roles that they have.
    ManageUsers,
}

/// What is to be done with the whole server or set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cluster {
    ListDatabases,
    /// `replSetGetStatus`, `replSetGetConfig`.
    ReplicaSetStatus,
    /// `serverStatus`, `getCmdLineOpts`, ...
    Monitor,
    /// The replica set's configuration and state, feature compatibility.
    Manage,
    /// The process: stopping it, its certificates and parameters.
    Host,
}

/// What a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need<'a> {
    Database(InDatabase, &'a str),
    Cluster(Cluster),
}

/// Roles of one database, and those of the database `admin` for all.
const OF_EACH: &[&str] = &["read", "readWrite", "dbAdmin", "dbOwner", "userAdmin"];
const OF_ADMIN: &[&str] = &[
    "readAnyDatabase",
    "readWriteAnyDatabase",
    "dbAdminAnyDatabase",
    "userAdminAnyDatabase",
    "clusterMonitor",
    "clusterManager",
    "hostManager",
    "clusterAdmin",
    "backup",
    "restore",
    "root",
];

impl Role {
    /// The role of members.
    pub fn system() -> Self {
        Self { name: "__system".to_owned(), database: "local".to_owned() }
    }

    /// Whether there is such a role.
    pub fn is_known(&self) -> bool {
        OF_EACH.contains(&self.name.as_str()) || (self.database == "admin" && OF_ADMIN.contains(&self.name.as_str()))
    }

    pub fn document(&self) -> Document {
        doc! { "role": &self.name, "db": &self.database }
    }

    /// Reads `"name"` or `{role, db}`, as commands name roles.
    pub fn read(value: &Bson, database: &str) -> Option<Self> {
        match value {
            Bson::String(name) => Some(Self { name: name.clone(), database: database.to_owned() }),
            Bson::Document(role) => Some(Self {
                name: role.get_str("role").ok()?.to_owned(),
                database: role.get_str("db").ok()?.to_owned(),
            }),
            _ => None,
        }
    }

    /// Whether it allows this.
    pub fn allows(&self, need: Need<'_>) -> bool {
        use Cluster::{Host, ListDatabases, Manage, Monitor, ReplicaSetStatus};
        use InDatabase::{Administrate, Define, Drop, Find, Inspect, ManageUsers, ViewUsers, Write};
        // "Any database" is all but these two.
        let any = |database: &str| !matches!(database, "local" | "config");
        let own = |database: &str| database == self.database;
        match (self.name.as_str(), need) {
            ("root" | "__system", _) => true,
            ("read", Need::Database(Find | Inspect, database)) => own(database),
            ("readWrite", Need::Database(Find | Inspect | Write | Define, database)) => own(database),
            ("dbAdmin", Need::Database(Inspect | Define | Administrate | Drop, database)) => own(database),
            ("dbOwner", Need::Database(_, database)) => own(database),
            ("userAdmin", Need::Database(ManageUsers | ViewUsers, database)) => own(database),
            ("readAnyDatabase", Need::Database(Find | Inspect, database)) => any(database),
            ("readWriteAnyDatabase", Need::Database(Find | Inspect | Write | Define, database)) => any(database),
            ("dbAdminAnyDatabase", Need::Database(Inspect | Define | Administrate | Drop, database)) => any(database),
            ("userAdminAnyDatabase", Need::Database(ManageUsers | ViewUsers, _)) => true,
            (
                "readAnyDatabase" | "readWriteAnyDatabase" | "dbAdminAnyDatabase" | "userAdminAnyDatabase" | "backup",
                Need::Cluster(ListDatabases),
            ) => true,
            ("backup", Need::Database(Find | Inspect, _)) => true,
            ("restore", Need::Database(Inspect | Write | Define | Administrate | ManageUsers | ViewUsers, _)) => true,
            ("clusterMonitor", Need::Cluster(ListDatabases | ReplicaSetStatus | Monitor)) => true,
            ("clusterMonitor", Need::Database(Inspect, _) | Need::Database(Find, "local" | "config")) => true,
            ("clusterManager", Need::Cluster(ReplicaSetStatus | Manage)) => true,
            ("hostManager", Need::Cluster(Host)) => true,
            ("clusterAdmin", Need::Cluster(_)) => true,
            ("clusterAdmin", Need::Database(Drop | Inspect, _) | Need::Database(Find, "local" | "config")) => true,
            _ => false,
        }
    }
}

/// Manual, "Localhost Exception": what is allowed on a connection from the same machine as long as there is no user.
pub fn localhost_exception_allows(need: Need<'_>) -> bool {
    matches!(
        need,
        Need::Database(InDatabase::ManageUsers, "admin" | "$external")
            | Need::Cluster(Cluster::Manage | Cluster::ReplicaSetStatus)
    )
}

#[cfg(test)]
mod tests {
    use super::Cluster::{Host, Manage, Monitor};
    use super::InDatabase::{Find, ManageUsers, Write};
    use super::*;

    #[track_caller]
    fn check(role: &str, database: &str, allowed: &[Need<'_>], refused: &[Need<'_>]) {
        let role = Role { name: role.to_owned(), database: database.to_owned() };
        assert!(role.is_known(), "{role:?}");
        for need in allowed {
            assert!(role.allows(*need), "{role:?} does not allow {need:?}");
        }
        for need in refused {
            assert!(!role.allows(*need), "{role:?} allows {need:?}");
        }
    }

    #[test]
    fn each_role_allows_what_the_manual_says_and_no_more() {
        let bigchain = |action| Need::Database(action, "bigchain");
        check("read", "bigchain", &[bigchain(Find)], &[bigchain(Write), Need::Database(Find, "other")]);
        check("readWrite", "bigchain", &[bigchain(Write)], &[bigchain(ManageUsers), Need::Database(Write, "other")]);
        check(
            "readWriteAnyDatabase",
            "admin",
            &[bigchain(Write)],
            &[Need::Database(Write, "local"), bigchain(ManageUsers)],
        );
        let (inspect, define) = (bigchain(InDatabase::Inspect), bigchain(InDatabase::Define));
        check("read", "bigchain", &[inspect], &[define]);
        check("readWrite", "bigchain", &[inspect, define], &[bigchain(InDatabase::Drop)]);
        check(
            "dbAdmin",
            "bigchain",
            &[inspect, define, bigchain(InDatabase::Drop)],
            &[bigchain(Find), bigchain(Write)],
        );
        check(
            "clusterAdmin",
            "admin",
            &[Need::Cluster(Manage), Need::Cluster(Host)],
            &[bigchain(Find), bigchain(Write)],
        );
        check("clusterMonitor", "admin", &[Need::Cluster(Monitor)], &[Need::Cluster(Manage), bigchain(Find)]);
        check("backup", "admin", &[bigchain(Find)], &[bigchain(Write), Need::Cluster(Manage)]);
        check("userAdminAnyDatabase", "admin", &[Need::Database(ManageUsers, "$external")], &[bigchain(Find)]);
        check("root", "admin", &[Need::Cluster(Host), bigchain(ManageUsers)], &[]);
    }

    #[test]
    fn roles_of_all_databases_belong_to_admin() {
        let role = |name: &str, database: &str| Role { name: name.to_owned(), database: database.to_owned() };
        assert!(!role("clusterAdmin", "bigchain").is_known() && !role("everything", "admin").is_known());
        assert!(!role("__system", "admin").is_known());
    }
}
