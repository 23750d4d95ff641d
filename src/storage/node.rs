//! Which server this is, and whose objects its data folder has.

use std::io::{ErrorKind, Write as _};
use std::path::Path;

use uuid::Uuid;

use crate::clock::new_id;
use crate::error::{Error, Result};

/// The file in the data folder that says which server this is: whoever has the folder has the objects in it.
const NODE_FILE: &str = "node-id";
/// The file in the data folder that says which database its objects belong to.
const DATABASE_FILE: &str = "database-id";

/// The server that has this data folder; a new one when nobody had it.
pub(super) fn node_of(data_dir: &Path) -> Result<Uuid> {
    written_once(&data_dir.join(NODE_FILE), new_id())
}

/// The database that the objects in this data folder belong to; `database_id` when there were none.
pub(super) fn database_of(data_dir: &Path, database_id: Uuid) -> Result<Uuid> {
    written_once(&data_dir.join(DATABASE_FILE), database_id)
}

/// The id in a file, which is `id` from now on when there is none.
fn written_once(path: &Path, id: Uuid) -> Result<Uuid> {
    let problem = |error: &dyn std::fmt::Display| Error::internal(format!("{}: {error}", path.display()));
    match std::fs::read_to_string(path) {
        Ok(text) => Uuid::try_parse(text.trim()).map_err(|error| problem(&error)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            write(path, id).map(|()| id).map_err(|error| problem(&error))
        }
        Err(error) => Err(problem(&error)),
    }
}

fn write(path: &Path, id: Uuid) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(format!("{id}\n").as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    std::fs::File::open(folder)?.sync_all()
}
