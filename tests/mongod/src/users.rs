//! Users that are named by certificates, and their roles.

use std::io;

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, doc};
use parking_lot::Mutex;

use crate::authorization::Role;
use crate::files::Files;

/// The database of users that are named by certificates.
pub const EXTERNAL: &str = "$external";

const FILE: &str = "users";

/// One user.
#[derive(Clone, Debug)]
pub struct User {
    pub name: String,
    pub roles: Vec<Role>,
    pub custom_data: Option<Document>,
    id: Binary,
}

/// All users.
pub struct Users {
    files: Files,
    list: Mutex<Vec<User>>,
}

impl User {
    pub fn new(name: &str, roles: Vec<Role>, custom_data: Option<Document>) -> Self {
        let mut bytes = bson::oid::ObjectId::new().bytes().to_vec();
        bytes.resize(16, 0);
        let id = Binary { subtype: BinarySubtype::Uuid, bytes };
        Self { name: name.to_owned(), roles, custom_data, id }
    }

    pub fn is(&self, name: &str, database: &str) -> bool {
        self.name == name && database == EXTERNAL
    }

    /// As `usersInfo` shows it.
    pub fn document(&self) -> Document {
        let mut document = doc! {
            "_id": format!("{EXTERNAL}.{}", self.name),
            "userId": self.id.clone(),
            "user": &self.name,
            "db": EXTERNAL,
        };
        if let Some(data) = &self.custom_data {
            document.insert("customData", data);
        }
        document.insert("roles", self.roles.iter().map(Role::document).collect::<Vec<_>>());
        document.insert("mechanisms", ["external"]);
        document
    }

    fn read(document: &Document) -> Option<Self> {
        let Bson::Binary(id) = document.get("userId")? else { return None };
        let roles = document.get_array("roles").ok()?.iter().filter_map(|role| Role::read(role, "")).collect();
        Some(Self {
            name: document.get_str("user").ok()?.to_owned(),
            roles,
            custom_data: document.get_document("customData").ok().cloned(),
            id: id.clone(),
        })
    }
}

impl Users {
    pub fn open(files: Files) -> io::Result<Self> {
        let stored = files.read(FILE)?.unwrap_or_default();
        let stored = stored.get_array("users").map(Vec::as_slice).unwrap_or_default();
        let list = stored.iter().filter_map(Bson::as_document).filter_map(User::read).collect();
        Ok(Self { files, list: Mutex::new(list) })
    }

    pub fn is_empty(&self) -> bool {
        self.list.lock().is_empty()
    }

    pub fn get(&self, name: &str, database: &str) -> Option<User> {
        self.list.lock().iter().find(|user| user.is(name, database)).cloned()
    }

    pub fn all(&self) -> Vec<User> {
        self.list.lock().clone()
    }

    /// Adds the user or takes the place of the one of that name.
    pub fn put(&self, user: User) -> io::Result<()> {
        self.change(|list| {
            list.retain(|other| other.name != user.name);
            list.push(user);
        })
    }

    /// `false`: there is no such user.
    pub fn remove(&self, name: &str, database: &str) -> io::Result<bool> {
        let is_there = self.get(name, database).is_some();
        self.change(|list| list.retain(|user| !user.is(name, database)))?;
        Ok(is_there)
    }

    /// How many there were.
    pub fn remove_all(&self, database: &str) -> io::Result<usize> {
        if database != EXTERNAL {
            return Ok(0);
        }
        let count = self.all().len();
        self.change(Vec::clear)?;
        Ok(count)
    }

    /// Written before it counts.
    fn change(&self, change: impl FnOnce(&mut Vec<User>)) -> io::Result<()> {
        let mut list = self.list.lock();
        let mut changed = list.clone();
        change(&mut changed);
        let documents: Vec<Document> = changed.iter().map(User::document).collect();
        self.files.write(FILE, &doc! { "users": documents })?;
        *list = changed;
        Ok(())
    }
}
