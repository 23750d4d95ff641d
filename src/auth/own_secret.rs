//! The secret that Runledger makes for itself when it is tried on one machine.

use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::config::Secret;
use crate::domain::limits::JWT_SECRET_BYTES_MIN;
use crate::error::{Error, Result};

/// Random bytes in a secret; written as 43 characters.
const RANDOM_BYTES: usize = 32;

/// Reads the secret in `file`, or makes one there, readable by its owner only.
///
/// The file appears whole or not at all, and the first one stays: processes that start at once end with one secret.
pub(super) fn read_or_make(file: &Path) -> Result<Secret> {
    let secret = match read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(file).and_then(|()| read(file)),
        result => result,
    };
    secret
        .map_err(|error| Error::internal(format_args!("cannot keep a secret in {}: {error}", file.display())))
}

fn read(file: &Path) -> io::Result<Secret> {
    let text = std::fs::read_to_string(file)?;
    let secret = text.trim();
    if secret.len() < JWT_SECRET_BYTES_MIN {
        let message = format!("it holds fewer than {JWT_SECRET_BYTES_MIN} bytes; remove it and start again");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(Secret::from(secret))
}

fn make(file: &Path) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut random = [0; RANDOM_BYTES];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("the system gives no random bytes"))?;
    // A temporary file has mode 0600.
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(temporary, "{}", BASE64_URL_SAFE_NO_PAD.encode(random))?;
    temporary.as_file().sync_all()?;
    match temporary.persist_noclobber(file) {
        Ok(_) => std::fs::File::open(folder)?.sync_all(),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn starts_at_once_end_with_one_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data/jwt-secret");
        let barrier = Barrier::new(8);
        let secrets: Vec<Secret> = std::thread::scope(|scope| {
            let start = || {
                barrier.wait();
                read_or_make(&file).unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
        assert_eq!(secrets[0].expose().len(), 43);
        assert_eq!(read_or_make(&file).unwrap(), secrets[0]);
        assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("jwt-secret");
        read_or_make(&file).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("jwt-secret");
        std::fs::write(&file, "short\n").unwrap();
        assert!(read_or_make(&file).unwrap_err().cause().unwrap().contains("remove it"));
    }
}
