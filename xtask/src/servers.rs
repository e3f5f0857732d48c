//! Throw-away database servers for the tests: on a socket in a temporary folder, as an unprivileged user, gone with the
//! value.
//!
//! An address in the environment is taken as it is, and no server is started: `KOHERENT_TEST_POSTGRES`,
//! `KOHERENT_TEST_MARIADB`. The user in it must be allowed to create databases.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// How long a server may take to answer. A cold machine writes its first cluster slowly.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a server does before it acknowledges a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    /// It waits for the disk.
    Waits,
    /// It does not: what is tested is not the disk.
    Forgotten,
}

/// The servers, while the tests run.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    running: Vec<Server>,
    /// What tests find in their environment.
    pub(crate) environment: Vec<(&'static str, String)>,
}

#[derive(Debug)]
struct Server {
    child: Child,
    /// The signal that makes it stop at once.
    stop: &'static str,
    _folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .args([self.stop, &self.child.id().to_string()])
            .status();
        let _ = self.child.wait();
    }
}

impl Servers {
    /// Starts those that the environment does not name.
    pub(crate) fn start(disk: Disk) -> Result<Self> {
        let mut servers = Self::default();
        for (variable, start) in [
            (
                "KOHERENT_TEST_POSTGRES",
                postgres as fn(Disk) -> Result<(Server, String)>,
            ),
            ("KOHERENT_TEST_MARIADB", mariadb),
        ] {
            if std::env::var_os(variable).is_some() {
                continue;
            }
            let (server, address) = start(disk).with_context(|| {
                format!(
                    "no database server for the tests; or give the address of one in {variable}"
                )
            })?;
            servers.running.push(server);
            servers.environment.push((variable, address));
        }
        Ok(servers)
    }
}

fn postgres(disk: Disk) -> Result<(Server, String)> {
    let initdb = program("initdb", "postgresql")?;
    let postgres = program("postgres", "postgresql")?;
    let folder = Folder::new()?;
    let data = folder.path().join("data");
    let mut make = folder.command(&initdb);
    make.arg("--pgdata").arg(&data).args([
        "--username=koherent",
        "--auth=trust",
        "--no-sync",
        "--encoding=UTF8",
        "--locale=C",
    ]);
    run(&mut make, &folder.path().join("initdb.log"))?;
    let mut command = folder.command(&postgres);
    command.arg("-D").arg(&data);
    for setting in [
        format!("unix_socket_directories={}", folder.path().display()),
        "listen_addresses=".to_owned(),
        "max_connections=300".to_owned(),
        "log_min_messages=fatal".to_owned(),
    ] {
        command.arg("-c").arg(setting);
    }
    if disk == Disk::Forgotten {
        command.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
    }
    let log = folder.path().join("server.log");
    let socket = folder.path().join(".s.PGSQL.5432");
    let child = start(&mut command, &log, &socket)?;
    let host = encoded(folder.path());
    let address = format!("postgres://koherent@{host}/postgres");
    Ok((folder.server(child, "-INT"), address))
}

fn mariadb(disk: Disk) -> Result<(Server, String)> {
    let install = program("mariadb-install-db", "mariadb-server")?;
    let mariadbd = program("mariadbd", "mariadb-server")?;
    let folder = Folder::new()?;
    let data = folder.path().join("data");
    let mut make = folder.command(&install);
    make.arg("--no-defaults")
        .arg(format!("--datadir={}", data.display()))
        .args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
    run(&mut make, &folder.path().join("install.log"))?;
    let socket = folder.path().join("mariadb.sock");
    let mut command = folder.command(&mariadbd);
    command
        .arg("--no-defaults")
        .arg(format!("--datadir={}", data.display()))
        .arg(format!("--socket={}", socket.display()))
        .arg(format!(
            "--pid-file={}",
            folder.path().join("pid").display()
        ))
        .args([
            "--skip-networking",
            "--max-connections=300",
            "--innodb-lock-wait-timeout=60",
            "--skip-log-bin",
            "--character-set-server=utf8mb4",
        ]);
    if disk == Disk::Forgotten {
        command.args([
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-flush-method=nosync",
        ]);
    }
    let child = start(&mut command, &folder.path().join("server.log"), &socket)?;
    let address = format!("mysql://root@localhost/mysql?socket={}", encoded(&socket));
    Ok((folder.server(child, "-TERM"), address))
}

/// A path as a part of an address.
fn encoded(path: &Path) -> String {
    path.display().to_string().replace('/', "%2F")
}

/// A folder that the server's user may write.
struct Folder {
    folder: TempDir,
    user: Option<(u32, u32)>,
}

impl Folder {
    fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("koherent-").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        // Servers refuse to run as root.
        let user = is_root().then(unprivileged).transpose()?;
        if let Some((user, group)) = user {
            chown(folder.path(), Some(user), Some(group))?;
        }
        Ok(Self { folder, user })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, program: &Path) -> Command {
        // Where that can be had, the kernel stops a server whose starter was killed.
        let mut command = match find("setpriv") {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "TERM", "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command.current_dir(self.path()).env("HOME", self.path());
        command
    }

    fn server(self, child: Child, stop: &'static str) -> Server {
        Server {
            child,
            stop,
            _folder: self.folder,
        }
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| {
        use std::os::unix::fs::MetadataExt as _;
        me.uid() == 0
    })
}

/// The user and group of `nobody`.
fn unprivileged() -> Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").context("cannot read the list of users")?;
    let nobody = users
        .lines()
        .find(|line| line.starts_with("nobody:"))
        .context("there is no user `nobody` to run database servers as")?;
    let mut fields = nobody.split(':').skip(2).map(str::parse);
    match (fields.next(), fields.next()) {
        (Some(Ok(user)), Some(Ok(group))) => Ok((user, group)),
        _ => bail!("the user `nobody` has no numbers"),
    }
}

/// Finds a server's program; installs it where that is allowed.
pub(crate) fn program(name: &str, package: &str) -> Result<PathBuf> {
    if let Some(path) = find(name) {
        return Ok(path);
    }
    if is_root() && find("apt-get").is_some() {
        install(package)?;
        if let Some(path) = find(name) {
            return Ok(path);
        }
    }
    bail!("`{name}` is missing: install the package `{package}`, and run this again")
}

#[expect(clippy::print_stderr, reason = "it says what takes so long")]
pub(crate) fn install(package: &str) -> Result<()> {
    eprintln!("xtask: installing {package}");
    for arguments in [
        &["update", "-q"][..],
        &["install", "-y", "-q", "--no-install-recommends", package],
    ] {
        let status = Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdout(Stdio::null())
            .status()
            .context("cannot run apt-get")?;
        if !status.success() {
            bail!("`apt-get {}` failed", arguments.join(" "));
        }
    }
    Ok(())
}

/// Looks on the path, and where Debian keeps servers.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

fn run(command: &mut Command, log: &Path) -> Result<()> {
    let output = File::create(log)?;
    let status = command
        .stdout(output.try_clone()?)
        .stderr(output)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed: {}", said(log));
    }
    Ok(())
}

/// Starts a server, and waits until its socket is there.
fn start(command: &mut Command, log: &Path, socket: &Path) -> Result<Child> {
    let output = File::create(log)?;
    let mut child = command
        .stdout(output.try_clone()?)
        .stderr(output)
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    let started = Instant::now();
    while std::os::unix::net::UnixStream::connect(socket).is_err() {
        if let Some(status) = child.try_wait()? {
            bail!("{command:?} ended with {status}: {}", said(log));
        }
        if started.elapsed() > PATIENCE {
            let _ = child.kill();
            bail!("{command:?} does not answer: {}", said(log));
        }
        sleep(Duration::from_millis(50));
    }
    Ok(child)
}

/// The end of what a server said.
fn said(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
