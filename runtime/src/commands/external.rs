//! `souk NAME`, when that is no verb of the host: the program `souk-NAME`, as cargo and git have it.
//!
//! So tools that know of commerce are started like verbs, and the host knows nothing of them.

use std::{
    convert::Infallible,
    env,
    ffi::{OsStr, OsString},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

/// The program of a name: beside the host, or else on the PATH.
pub fn find(name: &OsStr) -> Option<PathBuf> {
    let host = env::current_exe().ok();
    search(name, host.as_deref(), &env::var_os("PATH").unwrap_or_default())
}

/// Becomes the program, so signals and its exit code are its own. Comes back only when it does not start.
pub fn start(program: &Path, arguments: &[OsString]) -> io::Result<Infallible> {
    Err(Command::new(program).args(arguments).exec())
}

fn search(name: &OsStr, host: Option<&Path>, path: &OsStr) -> Option<PathBuf> {
    let name = name.to_str().filter(|name| !name.contains('/'))?;
    let beside = host.and_then(Path::parent).map(Path::to_owned);
    let folders = beside.into_iter().chain(env::split_paths(path));
    folders.map(|folder| folder.join(format!("souk-{name}"))).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_program_beside_the_host_comes_before_one_on_the_path() {
        let root = env::temp_dir().join(format!("souk-external-{}", std::process::id()));
        let (beside, other) = (root.join("beside"), root.join("other"));
        for folder in [&beside, &other] {
            fs::create_dir_all(folder).expect("a folder is made");
        }
        let host = beside.join("souk");
        let found = |name: &str| search(OsStr::new(name), Some(&host), other.as_os_str());
        assert_eq!(found("tool"), None);
        fs::write(other.join("souk-tool"), "").expect("a file is written");
        assert_eq!(found("tool"), Some(other.join("souk-tool")));
        fs::write(beside.join("souk-tool"), "").expect("a file is written");
        assert_eq!(found("tool"), Some(beside.join("souk-tool")));
        fs::create_dir_all(beside.join("souk-x")).expect("a folder is made");
        assert_eq!([found("x"), found("x/../souk-tool")], [None, None], "a folder, and a path");
        fs::remove_dir_all(root).expect("the folder goes");
    }
}
