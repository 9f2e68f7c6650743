//! Runs the program in an empty place.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// An empty directory as home and working directory, and an environment of its own.
pub struct Place {
    directory: tempfile::TempDir,
    environment: BTreeMap<String, String>,
}

/// What a run gave.
pub struct Ran {
    arguments: String,
    output: Output,
}

impl Place {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().to_str().unwrap().to_owned();
        Self { directory, environment: BTreeMap::from([("HOME".to_owned(), home)]) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn env(&mut self, name: &str, value: &str) -> &mut Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn env_remove(&mut self, name: &str) {
        self.environment.remove(name);
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_bigchaindb"), arguments)
    }

    /// A shell's command line, in which `$0` is the program.
    pub fn shell(&self, line: &str) -> Command {
        self.command_of("/bin/sh", &["-c", line, env!("CARGO_BIN_EXE_bigchaindb")])
    }

    fn command_of(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(&self.environment).current_dir(self.directory.path());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, "")
    }

    /// Runs with this on standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A program that does not read its input closes the pipe: no failure of the test.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Ran { arguments: arguments.join(" "), output: child.wait_with_output().unwrap() }
    }
}

impl Ran {
    pub fn stderr(&self) -> String {
        String::from_utf8(self.output.stderr.clone()).unwrap()
    }

    /// Standard output as it is.
    pub fn output(&self) -> &[u8] {
        &self.output.stdout
    }

    pub fn stdout(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    /// Exit code 0; what stood on standard output.
    #[track_caller]
    pub fn ok(&self) -> String {
        assert_eq!(self.output.status.code(), Some(0), "{}: {}{}", self.arguments, self.stdout(), self.stderr());
        self.stdout()
    }

    /// This exit code.
    #[track_caller]
    pub fn ran_with(&self, code: i32) {
        self.failed(code, "");
    }

    /// This exit code, and standard error holds the text; all of standard error.
    #[track_caller]
    pub fn failed(&self, code: i32, text: &str) -> String {
        let stderr = self.stderr();
        assert_eq!(self.output.status.code(), Some(code), "{}: {}{stderr}", self.arguments, self.stdout());
        assert!(stderr.contains(text), "{}: `{text}` is not in: {stderr}", self.arguments);
        stderr
    }
}
