//! The commands that there are, who answers each, who may give it, and in which state of the member (MongoDB manual,
//! "Database Commands", and "Built-In Roles" for the privileges).

use self::Access::{Anyone, Content, Database, User};
use self::State::{Any, Primary, Readable};
use crate::authorization::Cluster::{self, Host, ListDatabases, Manage, Monitor, ReplicaSetStatus};
use crate::authorization::InDatabase::{
    self, Administrate, Define, Drop, Find, Inspect, ManageUsers, ViewUsers, Write,
};

/// A command.
pub struct Known {
    pub names: &'static [&'static str],
    /// `None`: the backend answers.
    pub own: Option<Own>,
    pub access: Access,
    pub state: State,
    /// It is given to the database `admin` only.
    pub is_for_admin: bool,
}

/// Who may give a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Anyone,
    /// Whoever is logged in.
    User,
    Cluster(Cluster),
    /// In the command's database.
    Database(InDatabase),
    /// It depends on what the command says.
    Content,
}

/// The state that the member must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Any,
    /// Primary, or secondary for those who read from secondaries.
    Readable,
    Primary,
}

/// Commands that this program answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    Hello,
    Authenticate,
    Sasl,
    Logout,
    ConnectionStatus,
    WhatsMyUri,
    BuildInfo,
    ListCommands,
    ListDatabases,
    ServerStatus,
    GetCmdLineOpts,
    GetParameter,
    RotateCertificates,
    SetCompatibility,
    Shutdown,
    Initiate,
    Reconfigure,
    GetConfig,
    GetStatus,
    StepDown,
    Freeze,
    CreateUser,
    UpdateUser,
    GrantRoles,
    RevokeRoles,
    DropUser,
    DropAllUsers,
    UsersInfo,
}

const fn own(names: &'static [&'static str], own: Own, access: Access, state: State) -> Known {
    Known { names, own: Some(own), access, state, is_for_admin: false }
}

const fn passed(names: &'static [&'static str], access: Access, state: State) -> Known {
    Known { names, own: None, access, state, is_for_admin: false }
}

impl Known {
    const fn for_admin(mut self) -> Self {
        self.is_for_admin = true;
        self
    }
}

/// The command of this name.
pub fn lookup(name: &str) -> Option<&'static Known> {
    COMMANDS.iter().find(|known| known.names.contains(&name))
}

/// The names of all.
pub fn names() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().flat_map(|known| known.names.iter().copied())
}

const COMMANDS: &[Known] = &[
    // "Replication Commands" and "Diagnostic Commands": what drivers ask first.
    own(&["hello", "isMaster", "ismaster"], Own::Hello, Anyone, Any),
    own(&["buildInfo", "buildinfo"], Own::BuildInfo, Anyone, Any),
    own(&["connectionStatus"], Own::ConnectionStatus, Anyone, Any),
    own(&["whatsmyuri"], Own::WhatsMyUri, Anyone, Any),
    own(&["listCommands"], Own::ListCommands, Anyone, Any),
    passed(&["ping", "endSessions"], Anyone, Any),
    // "Authentication Commands".
    own(&["authenticate"], Own::Authenticate, Anyone, Any),
    own(&["saslStart", "saslContinue"], Own::Sasl, Anyone, Any),
    own(&["logout"], Own::Logout, Anyone, Any),
    // "Replication Commands".
    own(&["replSetInitiate"], Own::Initiate, Access::Cluster(Manage), Any).for_admin(),
    own(&["replSetReconfig"], Own::Reconfigure, Access::Cluster(Manage), Any).for_admin(),
    own(&["replSetStepDown"], Own::StepDown, Access::Cluster(Manage), Any).for_admin(),
    own(&["replSetFreeze"], Own::Freeze, Access::Cluster(Manage), Any).for_admin(),
    own(&["replSetGetConfig"], Own::GetConfig, Access::Cluster(ReplicaSetStatus), Any).for_admin(),
    own(&["replSetGetStatus"], Own::GetStatus, Access::Cluster(ReplicaSetStatus), Any).for_admin(),
    passed(&["replSetResizeOplog", "appendOplogNote"], Access::Cluster(Manage), Any).for_admin(),
    // "User Management Commands".
    own(&["createUser"], Own::CreateUser, Content, Primary),
    own(&["updateUser"], Own::UpdateUser, Content, Primary),
    own(&["grantRolesToUser"], Own::GrantRoles, Content, Primary),
    own(&["revokeRolesFromUser"], Own::RevokeRoles, Content, Primary),
    own(&["dropUser"], Own::DropUser, Database(ManageUsers), Primary),
    own(&["dropAllUsersFromDatabase"], Own::DropAllUsers, Database(ManageUsers), Primary),
    own(&["usersInfo"], Own::UsersInfo, Content, Readable),
    // "Administration Commands".
    own(&["rotateCertificates"], Own::RotateCertificates, Access::Cluster(Host), Any).for_admin(),
    own(&["setFeatureCompatibilityVersion"], Own::SetCompatibility, Access::Cluster(Manage), Primary).for_admin(),
    own(&["shutdown"], Own::Shutdown, Access::Cluster(Host), Any).for_admin(),
    passed(&["setParameter", "logRotate", "fsync", "fsyncUnlock", "killOp"], Access::Cluster(Host), Any).for_admin(),
    passed(&["killAllSessions", "killAllSessionsByPattern"], Access::Cluster(Host), Any),
    passed(&["setDefaultRWConcern"], Access::Cluster(Manage), Primary).for_admin(),
    passed(&["create", "createIndexes", "drop", "dropIndexes", "convertToCapped"], Database(Define), Primary),
    passed(&["collMod", "compact", "reIndex"], Database(Administrate), Primary),
    passed(&["dropDatabase"], Database(Drop), Primary),
    passed(&["renameCollection"], Content, Primary).for_admin(),
    passed(&["listCollections"], Content, Readable),
    passed(&["listIndexes"], Database(Inspect), Readable),
    own(&["listDatabases"], Own::ListDatabases, User, Readable).for_admin(),
    // "Diagnostic Commands".
    own(&["getCmdLineOpts"], Own::GetCmdLineOpts, Access::Cluster(Monitor), Any).for_admin(),
    own(&["getParameter"], Own::GetParameter, Access::Cluster(Monitor), Any).for_admin(),
    own(&["serverStatus"], Own::ServerStatus, Access::Cluster(Monitor), Any),
    passed(&["currentOp", "getLog", "top", "getDefaultRWConcern"], Access::Cluster(Monitor), Any).for_admin(),
    passed(&["hostInfo", "connPoolStats", "lockInfo"], Access::Cluster(Monitor), Any),
    passed(&["collStats", "dbStats", "dataSize", "dbHash"], Database(Inspect), Readable),
    passed(&["validate", "profile", "planCacheClear"], Database(Administrate), Readable),
    passed(&["explain"], Content, Readable),
    // "Query and Write Operation Commands" and "Aggregation Commands".
    passed(&["find", "count", "distinct", "mapReduce"], Database(Find), Readable),
    passed(&["aggregate"], Content, Readable),
    passed(&["insert", "update", "delete", "findAndModify", "findandmodify"], Database(Write), Primary),
    passed(&["bulkWrite"], Content, Primary).for_admin(),
    passed(&["getMore", "killCursors"], User, Any),
    // "Session Commands".
    passed(&["startSession", "refreshSessions", "killSessions"], User, Any),
    passed(&["commitTransaction", "abortTransaction"], User, Primary).for_admin(),
];

/// What `listDatabases` needs to show all of them; without, it shows those that may be read.
pub const ALL_DATABASES: Cluster = ListDatabases;

/// What `usersInfo` needs for others than oneself.
pub const OTHER_USERS: InDatabase = ViewUsers;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_stands_for_one_command() {
        let mut all: Vec<&str> = names().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(lookup("eval").is_none());
    }
}
