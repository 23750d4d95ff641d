//! Exports of executions: by a link, or by a token and the arguments of the mutation that gives links.

use async_graphql::Variables;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::TryStreamExt as _;
use serde_json::json;

use super::refusal::{refuse, refuse_as};
use super::{Transport, cors};
use crate::auth;
use crate::domain::export::Format;
use crate::error::{Error, Result};
use crate::graphql::guard::Params;
use crate::graphql::{Outcome, RequestId};
use crate::monitor;
use crate::service::{Exported, Service};

const EXPORTS_PATH: &str = "/exports/{file_name}";
/// The name of the file, without its ending.
const FILE_STEM: &str = "executions";

/// What a caller with a token asks, so that their arguments are checked as those of any other request.
const LINK: &str = "
    mutation ($filter: ExecutionFilter, $order: ExecutionOrder! = NEWEST, $format: ExportFormat!, $include: [ExportedValue!]! = []) {
        exportExecutions(filter: $filter, order: $order, format: $format, include: $include) { url }
    }";

#[derive(Clone)]
struct Exports {
    transport: Transport,
    service: Service,
}

pub(super) fn routes(transport: Transport, service: Service) -> Router {
    let cors = cors(&transport.settings.allowed_origins);
    let routes = Router::new().route(EXPORTS_PATH, get(export)).with_state(Exports { transport, service });
    match cors {
        Some(cors) => routes.layer(cors),
        None => routes,
    }
}

async fn export(
    State(exports): State<Exports>,
    Path(file_name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let format =
        file_name.strip_prefix(FILE_STEM).and_then(|ending| Format::of_extension(ending.strip_prefix('.')?));
    let Some(format) = format else { return refuse(&Error::NotFound { what: "export" }) };
    let query: Vec<(String, String)> =
        form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    let token = match query.iter().find(|(name, _)| name == "token") {
        Some((_, token)) => token.clone(),
        None => match exports.token(format, &headers, query).await {
            Ok(token) => token,
            Err(refusal) => return refusal,
        },
    };
    match exports.service.linked_export(&token) {
        Ok(exported) if exported.format == format => send(exported),
        Ok(_) => refuse(&Error::NotFound { what: "export" }),
        Err(error) => refuse(&error),
    }
}

impl Exports {
    /// The token of the link that a caller would be given for these arguments.
    async fn token(
        &self,
        format: Format,
        headers: &HeaderMap,
        query: Vec<(String, String)>,
    ) -> Result<String, Response> {
        let viewer = match headers.get(header::AUTHORIZATION) {
            None => return Err(refuse(&Error::Unauthenticated("a token or a link is required".into()))),
            Some(authorization) => {
                let token = authorization.to_str().ok().and_then(auth::bearer).ok_or_else(|| {
                    refuse(&Error::Unauthenticated("the Authorization header has no bearer token".into()))
                })?;
                self.transport.authenticator.authenticate(token).await.map_err(|error| refuse(&error))?
            }
        };
        let variables = variables(format, query).map_err(|error| refuse(&error))?;
        let request_id = RequestId::generate();
        let params = Params { query: LINK.into(), variables, ..Params::default() };
        let guarded =
            self.transport.engine.guard(request_id, params).map_err(|refusal| refuse_as(refusal.errors()))?;
        let answer = match self.transport.engine.execute(request_id, Some(&viewer), guarded).await {
            Outcome::Executed(answer) if answer.errors.is_empty() => answer,
            Outcome::Executed(answer) => return Err(refuse_as(&answer.errors)),
            Outcome::Refused(refusal) => return Err(refuse_as(refusal.errors())),
        };
        let answer = answer.data.into_json().unwrap_or_default();
        let token = answer["exportExecutions"]["url"].as_str().and_then(|url| url.split_once("?token="));
        token
            .map(|(_, token)| token.to_owned())
            .ok_or_else(|| refuse(&Error::internal("a link without a token")))
    }
}

/// The parameters of an address as those of the mutation.
fn variables(format: Format, query: Vec<(String, String)>) -> Result<Variables> {
    let mut variables = json!({ "format": format.extension().to_uppercase() });
    for (name, value) in query {
        let value = match &*name {
            "filter" => serde_json::from_str(&value)
                .map_err(|error| Error::bad_input("filter", format!("the parameter is not JSON: {error}")))?,
            "order" => json!(value),
            "include" => json!(
                value.split(',').filter(|name| !name.is_empty()).map(str::to_uppercase).collect::<Vec<_>>()
            ),
            _ => return Err(Error::bad_input(name, "parameters are filter, order and include")),
        };
        if variables.get(&name).is_some() {
            return Err(Error::bad_input(name, "the parameter is given twice"));
        }
        variables[name] = value;
    }
    Ok(Variables::from_json(variables))
}

/// When it fails half-way the connection breaks, so that nobody takes a part for the whole.
fn send(exported: Exported) -> Response {
    let Exported { format, pieces } = exported;
    let pieces = pieces.inspect_ok(|_| monitor::piece_served()).map_err(|error| {
        tracing::warn!(?error, "an export was cut off");
        std::io::Error::other("the executions cannot be read to their end now")
    });
    let disposition = format!("attachment; filename=\"{FILE_STEM}.{}\"", format.extension());
    let headers = [
        (header::CONTENT_TYPE, format.content_type()),
        (header::CONTENT_DISPOSITION, &disposition),
        (header::CACHE_CONTROL, "private, no-store"),
        (header::VARY, "authorization"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, Body::from_stream(pieces)).into_response()
}
