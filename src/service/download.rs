//! Links to downloads, and what is behind them.

use chrono::{SubsecRound as _, TimeDelta};
use futures_util::stream::BoxStream;

use super::Service;
use super::generation::Archive;
use crate::clock::{Timestamp, now};
use crate::domain::limits::LINK_SECONDS_MAX;
use crate::domain::stream::StreamKind;
use crate::error::{Error, Result};
use crate::logs;
use crate::storage::{Link, Linkable, Linked};

/// A link that lets whoever has it download one thing.
#[derive(Debug, Clone)]
pub struct Download {
    pub url: String,
    pub expires_at: Timestamp,
    pub expires_in_seconds: i32,
}

/// What is behind a link.
pub enum Behind {
    Archive(Archive),
    /// Or a visual session.
    Log(WholeLog),
}

/// The log of an execution, to be sent.
pub struct WholeLog {
    pub file_name: String,
    /// JSON lines, piece by piece.
    pub lines: BoxStream<'static, Result<String>>,
}

impl Service {
    /// A link that Runledger serves itself.
    ///
    /// # Errors
    /// What the signature says.
    pub(super) fn own_link(&self, link: Link, expires_in_seconds: i32) -> Result<Download> {
        let path = format!("downloads/{}", link.file_name);
        self.link_at(&path, link, expires_in_seconds)
    }

    /// A link below the server's address.
    ///
    /// # Errors
    /// What the signature says.
    pub(super) fn link_at<T: Linkable>(
        &self,
        path: &str,
        what: T,
        expires_in_seconds: i32,
    ) -> Result<Download> {
        // Links know whole seconds only: it works for at least as long as was asked for.
        let expires_at = now().trunc_subsecs(0) + TimeDelta::seconds(i64::from(expires_in_seconds) + 1);
        let token = self.links.sign(what, expires_at)?;
        let url = format!("{}/{path}?token={token}", self.public_url);
        Ok(Download { url, expires_at, expires_in_seconds })
    }

    /// What a link's token says, and until when it works.
    ///
    /// # Errors
    /// `FORBIDDEN` when it has expired or is none of ours.
    pub(super) fn check_link<T: Linkable>(&self, token: &str) -> Result<(T, Timestamp)> {
        self.links.check(token, now()).ok_or_else(|| {
            Error::Forbidden("this link has expired or is not as it was given; ask for a new one".into())
        })
    }

    /// What a link is for.
    ///
    /// # Errors
    /// `FORBIDDEN` when the link has expired or is none of ours; `NOT_FOUND` when what it is for has been deleted;
    /// `UNAVAILABLE`.
    pub async fn linked(&self, token: &str) -> Result<Behind> {
        let (link, _) = self.check_link::<Link>(token)?;
        match link.what {
            Linked::Generation => Ok(Behind::Archive(self.linked_archive(link).await?)),
            Linked::Log => self.linked_log(StreamKind::Log, link).await,
            Linked::Visual => self.linked_log(StreamKind::Visual, link).await,
        }
    }

    async fn linked_log(&self, kind: StreamKind, link: Link) -> Result<Behind> {
        let stream = self.store.linked_log(kind, &link.tenant_id, link.id).await?;
        let stream = stream.filter(|stream| !stream.expired).ok_or(Error::NotFound { what: "log" })?;
        let lines = logs::whole(self.store.clone(), self.storage.clone(), stream);
        Ok(Behind::Log(WholeLog { file_name: link.file_name, lines: Box::pin(lines) }))
    }
}

/// Checks how long a link is to work, in seconds.
///
/// # Errors
/// `BAD_INPUT` for a time that is not between a second and [`LINK_SECONDS_MAX`].
pub(super) fn check_lifetime(expires_in_seconds: i32) -> Result<u64> {
    let seconds = u64::try_from(expires_in_seconds).ok();
    let seconds = seconds.filter(|seconds| (1..=LINK_SECONDS_MAX.max).contains(seconds));
    seconds.ok_or_else(|| {
        Error::bad_input("expiresInSeconds", format!("must be from 1 to {}", LINK_SECONDS_MAX.max))
    })
}
