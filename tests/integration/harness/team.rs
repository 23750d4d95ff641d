//! A fresh tenant with everybody who may call.

use super::{Backend, Client, Server, backend::ForBackend, server::show_log, token::Claims, unique};

/// One organisation of its own on a server, and callers of every kind.
#[derive(Debug)]
pub(crate) struct Team {
    pub(crate) server: Server,
    pub(crate) org: String,
    /// The member that the tests act as, and that owns what they make.
    pub(crate) owner: Client,
    /// Another member of the organisation.
    pub(crate) colleague: Client,
    /// An administrator of the organisation.
    pub(crate) admin: Client,
    /// A member of another organisation.
    pub(crate) stranger: Client,
    /// The service role.
    pub(crate) service: Client,
    /// No token at all.
    pub(crate) anonymous: Client,
    _shown_on_failure: Option<LogOfSharedServer>,
}

impl Team {
    pub(crate) const OWNER: &str = "olga";
    pub(crate) const COLLEAGUE: &str = "carl";
    pub(crate) const ADMIN: &str = "ada";
    pub(crate) const STRANGER: &str = "simon";
    pub(crate) const SERVICE: &str = "sven";

    pub(crate) fn of(server: &Server) -> Self {
        let org = unique("org");
        let anonymous = Client::new(server, None);
        let caller = |claims: &Claims| anonymous.with_token(Some(claims.token()));
        Self {
            owner: caller(&Claims::member(Self::OWNER, &org)),
            colleague: caller(&Claims::member(Self::COLLEAGUE, &org)),
            admin: caller(&Claims::admin(Self::ADMIN, &org)),
            stranger: caller(&Claims::member(Self::STRANGER, &unique("org"))),
            service: caller(&Claims::service(Self::SERVICE)),
            server: server.clone(),
            org,
            anonymous,
            _shown_on_failure: None,
        }
    }

    /// The same callers with fresh connections: the old ones went with the process.
    pub(crate) fn after_a_restart(&self) -> Self {
        let fresh = |client: &Client| Client::new(&self.server, client.token().map(str::to_owned));
        Self {
            server: self.server.clone(),
            org: self.org.clone(),
            owner: fresh(&self.owner),
            colleague: fresh(&self.colleague),
            admin: fresh(&self.admin),
            stranger: fresh(&self.stranger),
            service: fresh(&self.service),
            anonymous: fresh(&self.anonymous),
            _shown_on_failure: None,
        }
    }

    /// What the owner's token says.
    pub(crate) fn owner_claims(&self) -> Claims {
        Claims::member(Self::OWNER, &self.org)
    }
}

impl ForBackend for Team {
    /// On the server that the tests share.
    async fn on(backend: Backend) -> Option<Self> {
        let server = Server::shared(backend).await?;
        Some(Self { _shown_on_failure: Some(LogOfSharedServer(server.clone())), ..Self::of(&server) })
    }
}

/// Shows the server's log when the test fails. A server of the test's own does that itself when it ends.
#[derive(Debug)]
struct LogOfSharedServer(Server);

impl Drop for LogOfSharedServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            show_log(&self.0.log());
        }
    }
}
