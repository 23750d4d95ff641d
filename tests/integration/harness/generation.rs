//! Generations as a test makes, reads and downloads them, and archives that no tool makes.

use std::collections::BTreeMap;
use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tar::{EntryType, Header};

use super::{Client, Refusal, Socket, Subscription, client::Answer, id_of, unique};

/// Every plain field of a generation.
const GENERATION: &str = "
    id version message createdBy createdAt sizeBytes sha256 fileCount filesBytes project { id key }
    files { path sizeBytes sha256 executable }
    storage { key cachedLocally cloudEnabled uploaded uploadState uploadError }";

/// Paths and what is in the files.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The files of a small project.
pub(crate) fn files(of: &[(&str, &[u8])]) -> Files {
    of.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec())).collect()
}

/// Bytes that no packing makes smaller.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = u64::from_le_bytes(*b"anything");
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// Of these bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Files as `saveGeneration` takes them: as text where they are.
pub(crate) fn as_input(files: &Files) -> Value {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let file = |(path, content): (&String, &Vec<u8>)| match std::str::from_utf8(content) {
        Ok(text) => json!({ "path": path, "text": text }),
        Err(_) => json!({ "path": path, "base64": STANDARD.encode(content) }),
    };
    files.iter().map(file).collect()
}

/// A `tar`, entry by entry, with whatever is in it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    /// Of files, in the order of their paths.
    pub(crate) fn of(files: &Files) -> Self {
        files.iter().fold(Self::default(), |tar, (path, content)| tar.file(path, content))
    }

    pub(crate) fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(path.as_bytes(), EntryType::Regular, 0o644, content)
    }

    pub(crate) fn program(self, path: &str, content: &[u8]) -> Self {
        self.entry(path.as_bytes(), EntryType::Regular, 0o755, content)
    }

    /// Any entry. A link leads to `/etc/passwd`.
    pub(crate) fn entry(mut self, name: &[u8], kind: EntryType, mode: u32, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_mtime(1_790_000_000);
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        if kind.is_symlink() || kind.is_hard_link() {
            header.set_link_name("/etc/passwd").expect("it is short");
        }
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// Whole, packed.
    pub(crate) fn gz(self) -> Vec<u8> {
        gzip(&[self.0, vec![0; 1024]].concat())
    }

    /// Without its end, packed.
    pub(crate) fn gz_without_end(self) -> Vec<u8> {
        gzip(&self.0)
    }
}

/// Packs anything.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).and_then(|()| gzip.finish()).expect("memory takes it")
}

/// The files of a `tar.gz`, as another tool unpacks them.
pub(crate) fn unpacked(archive: &[u8]) -> Files {
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(archive));
    let entries = tar.entries().expect("it is a tar");
    entries
        .map(|entry| {
            let mut entry = entry.expect("it is whole");
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).expect("it is whole");
            (entry.path().expect("it has a path").display().to_string(), content)
        })
        .filter(|(path, _)| !path.ends_with('/'))
        .collect()
}

/// What a download answered.
#[derive(Debug)]
pub(crate) struct Downloaded {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Downloaded {
    /// A header; empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("it is ASCII"))
    }
}

impl Client {
    /// Saves a generation; the payload, or why not.
    pub(crate) async fn try_save(&self, input: Value) -> Result<Value, Refusal> {
        let mut data = self.try_query(&save_document(), json!({ "input": input })).await?;
        Ok(data["saveGeneration"].take())
    }

    /// Saves files as the next generation of a project.
    pub(crate) async fn save(&self, project_key: &str, files: &Files) -> Value {
        let input = json!({ "projectKey": project_key, "files": as_input(files) });
        self.try_save(input).await.expect("the files are fine")["generation"].take()
    }

    /// Saves a generation of no importance in a project of its own; its id.
    pub(crate) async fn save_any(&self) -> String {
        id_of(&self.save(&unique("project"), &files(&[("README.md", b"# Hello\n")])).await)
    }

    /// Saves an archive; the payload, or why not.
    pub(crate) async fn try_save_archive(&self, input: Value, archive: &[u8]) -> Result<Value, Refusal> {
        let mut data = self.send_archive(input, archive).await.expect("the server answers").into_result()?;
        Ok(data["saveGeneration"].take())
    }

    /// As [`Client::try_save_archive`], for callers that expect the server to go away.
    pub(crate) async fn send_archive(&self, mut input: Value, archive: &[u8]) -> reqwest::Result<Answer> {
        input["archive"] = Value::Null;
        let operations = json!({ "query": save_document(), "variables": { "input": input } });
        self.upload(&operations, &["variables.input.archive"], archive).await
    }

    /// The generation as it is now, or null.
    pub(crate) async fn generation(&self, id: &str) -> Value {
        let document = format!("query ($id: ID!) {{ generation(id: $id) {{ {GENERATION} }} }}");
        self.query(&document, json!({ "id": id })).await["generation"].take()
    }

    /// The content of all files of a generation.
    pub(crate) async fn contents(&self, id: &str) -> Files {
        self.try_contents(id).await.expect("they can be read")
    }

    /// The content of all files of a generation, or why not.
    pub(crate) async fn try_contents(&self, id: &str) -> Result<Files, Refusal> {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let document = "query ($id: ID!) { generation(id: $id) { files { path base64 } } }";
        let data = self.try_query(document, json!({ "id": id })).await?;
        let files = data["generation"]["files"].as_array().expect("it is there").iter();
        let text = |value: &Value| value.as_str().expect("it is a text").to_owned();
        let file = |file: &Value| {
            (text(&file["path"]), STANDARD.decode(text(&file["base64"])).expect("it is Base64"))
        };
        Ok(files.map(file).collect())
    }

    /// A link to the archive of a generation, or why not.
    pub(crate) async fn try_link(&self, id: &str, seconds: i64) -> Result<Value, Refusal> {
        let document = "query ($id: ID!, $seconds: Int!) {
            generation(id: $id) { download(expiresInSeconds: $seconds) { url expiresAt expiresInSeconds } }
        }";
        let mut data = self.try_query(document, json!({ "id": id, "seconds": seconds })).await?;
        Ok(data["generation"]["download"].take())
    }

    /// A link to the archive of a generation, for an hour.
    pub(crate) async fn link(&self, id: &str) -> String {
        let link = self.try_link(id, 3_600).await.expect("it is there");
        link["url"].as_str().expect("it is a text").to_owned()
    }

    /// The archive of a generation, by a link.
    pub(crate) async fn archive(&self, id: &str) -> Vec<u8> {
        let downloaded = get(&self.link(id).await, &[]).await;
        assert_eq!(downloaded.status, 200, "{}", String::from_utf8_lossy(&downloaded.body));
        downloaded.body
    }

    /// Deletes a generation; how many that were, or why not.
    pub(crate) async fn delete_generation(&self, id: &str) -> Result<i64, Refusal> {
        let document = "mutation ($id: ID!) { deleteGeneration(id: $id) { deletedCount } }";
        let data = self.try_query(document, json!({ "id": id })).await?;
        Ok(data["deleteGeneration"]["deletedCount"].as_i64().expect("it is a number"))
    }

    /// Follows the upload of a generation.
    pub(crate) async fn follow_upload(&self, id: &str) -> UploadStates {
        let socket = Socket::connect(self).await;
        let document = "subscription ($id: ID!) {
            generationChanged(id: $id) { storage { uploaded uploadState uploadError cachedLocally } }
        }";
        let subscription = socket.subscribe(document, json!({ "id": id }));
        UploadStates { subscription, _socket: socket }
    }
}

/// What `generationChanged` says of an upload.
#[derive(Debug)]
pub(crate) struct UploadStates {
    pub(crate) subscription: Subscription,
    _socket: Socket,
}

impl UploadStates {
    /// The next one.
    pub(crate) async fn next(&mut self) -> Value {
        self.subscription.next().await["generationChanged"]["storage"].take()
    }

    /// Waits until it is so.
    pub(crate) async fn until(&mut self, state: &str) -> Value {
        loop {
            let storage = self.next().await;
            if storage["uploadState"] == state {
                return storage;
            }
        }
    }

    /// Waits until an attempt has failed.
    pub(crate) async fn until_it_fails(&mut self) -> String {
        loop {
            if let Some(reason) = self.next().await["uploadError"].as_str() {
                return reason.to_owned();
            }
        }
    }
}

fn save_document() -> String {
    format!(
        "mutation ($input: SaveGenerationInput!) {{ saveGeneration(input: $input) {{ created generation {{ {GENERATION} }} }} }}"
    )
}

/// Fetches a link, without any token.
pub(crate) async fn get(url: &str, headers: &[(&str, &str)]) -> Downloaded {
    request(reqwest::Method::GET, url, headers).await
}

/// Sends a request without a body, without any token.
pub(crate) async fn request(method: reqwest::Method, url: &str, headers: &[(&str, &str)]) -> Downloaded {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client needs nothing");
    let request = headers
        .iter()
        .fold(http.request(method, url), |request, (name, value)| request.header(*name, *value));
    let response = request.send().await.expect("the server answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Downloaded { status, headers, body: response.bytes().await.expect("the answer is whole").to_vec() }
}
