//! The registry client against Debian's `docker-registry` (plain, with a login, with TLS) and
//! against small faulty servers. Needs `docker-registry` and `openssl`; see `cargo xtask setup`.

#[path = "registry/real.rs"]
mod real;
#[path = "registry/toy.rs"]
mod toy;

use std::time::Duration;

use runtime::image::auth::Login;
use runtime::image::registry::{
    Purpose, RegistryClient, RegistryConfig, RegistryError, Repository, Source, Timeouts,
};

use real::Registry;
use toy::{Behaviour, Toy};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn config() -> RegistryConfig {
    RegistryConfig {
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            answer: Duration::from_millis(1_500),
            idle: Duration::from_millis(1_500),
        },
        certificates: "/nowhere".into(),
        ..RegistryConfig::default()
    }
}

fn session(
    config: &RegistryConfig,
    registry: &str,
    login: Login,
    purpose: Purpose,
) -> RegistryClient {
    let repository = Repository { registry: registry.to_owned(), name: "shop/till".to_owned() };
    RegistryClient::open(config, repository, login, purpose).expect("a session")
}

fn ann(password: &str) -> Login {
    Login::Basic { user: "ann".to_owned(), password: password.to_owned() }
}

/// Pseudo-random bytes, and their digest.
fn blob(length: usize) -> (Vec<u8>, String) {
    use sha2::Digest;
    let bytes: Vec<u8> =
        (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let hash: String = sha2::Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    (bytes, format!("sha256:{hash}"))
}

fn source(bytes: &[u8], digest: &str) -> Source {
    use std::io::{Seek, Write};
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("written");
    file.rewind().expect("at the beginning");
    Source { digest: digest.to_owned(), size: bytes.len() as u64, file }
}

async fn read(
    session: &RegistryClient,
    digest: &str,
    offset: u64,
) -> Result<Vec<u8>, RegistryError> {
    let mut stream = session.blob(digest, offset).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

/// Pushes a blob and an index without content, and reads both back.
async fn there_and_back(config: &RegistryConfig, registry: &str, login: Login) {
    let (bytes, digest) = blob(700_000);
    let push = session(config, registry, login.clone(), Purpose::Push);
    assert_eq!(push.has_blob(&digest).await, Ok(false));
    push.push_blob(source(&bytes, &digest), |_| {}).await.expect("pushed");
    assert_eq!(push.has_blob(&digest).await, Ok(true));
    let index = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    push.push_manifest("1.0", INDEX, index.to_vec()).await.expect("pushed");

    let pull = session(config, registry, login, Purpose::Pull);
    assert!(read(&pull, &digest, 0).await.expect("the blob") == bytes);
    assert!(read(&pull, &digest, 600_000).await.expect("its end") == bytes[600_000..]);
    let manifest = pull.manifest("1.0").await.expect("the index");
    assert_eq!((manifest.bytes.as_ref(), manifest.media_type.as_str()), (&index[..], INDEX));
}

#[tokio::test]
async fn what_is_pushed_is_pulled() {
    let registry = Registry::plain().await;
    there_and_back(&config(), &registry.host, Login::Anonymous).await;
}

#[tokio::test]
async fn an_unknown_name_is_told_as_such() {
    let registry = Registry::plain().await;
    let pull = session(&config(), &registry.host, Login::Anonymous, Purpose::Pull);
    let error = pull.manifest("2.0").await.expect_err("there is none");
    assert!(error.is_unknown(), "{error}");
    assert!(error.to_string().contains("shop/till:2.0"), "{error}");
}

#[tokio::test]
async fn a_registry_with_a_login_takes_the_right_one_only() {
    let registry = Registry::with_login("ann", "s3cret").await;
    there_and_back(&config(), &registry.host, ann("s3cret")).await;
    let with = |login| session(&config(), &registry.host, login, Purpose::Pull);
    let error = with(Login::Anonymous).manifest("1.0").await.expect_err("no login");
    assert!(matches!(error, RegistryError::LoginWanted { .. }), "{error}");
    let error = with(ann("wrong")).manifest("1.0").await.expect_err("a wrong login");
    assert!(matches!(error, RegistryError::LoginRefused { .. }), "{error}");
    assert!(!error.to_string().contains("wrong"), "a password is not repeated: {error}");
}

#[tokio::test]
async fn a_registry_with_tls_needs_its_ca_or_the_word_insecure() {
    let registry = Registry::with_tls().await;
    let name = registry.tls_name();
    let pull = |config: &RegistryConfig| session(config, &name, Login::Anonymous, Purpose::Pull);
    // A loopback address needs no trusted certificate; a name does.
    let strict = config();
    let error = pull(&strict).manifest("1.0").await.expect_err("nobody knows its CA");
    assert!(matches!(error, RegistryError::Untrusted { .. }), "{error}");
    let trusting = RegistryConfig { certificates: registry.certificates(), ..config() };
    there_and_back(&trusting, &name, Login::Anonymous).await;
    let careless = RegistryConfig { insecure: vec![name.clone()], ..config() };
    pull(&careless).manifest("1.0").await.expect("any certificate will do");
}

#[tokio::test]
async fn a_mirror_is_asked_first_and_the_registry_when_it_has_nothing() {
    let (mirror, registry) = (Registry::plain().await, Registry::plain().await);
    let (bytes, digest) = blob(10_000);
    let mut config = config();
    let push = session(&config, &registry.host, Login::Anonymous, Purpose::Push);
    push.push_blob(source(&bytes, &digest), |_| {}).await.expect("pushed");
    let host = format!("{}=http://{}", registry.host, mirror.host);
    let entry: runtime::image::mirror::MirrorEntry = host.parse().expect("a mirror");
    config.mirrors.insert(entry.registry, vec![entry.host]);
    let pull = session(&config, &registry.host, Login::Anonymous, Purpose::Pull);
    assert!(read(&pull, &digest, 0).await.expect("from the registry") == bytes);

    let at_mirror = session(&config, &mirror.host, Login::Anonymous, Purpose::Push);
    at_mirror.push_blob(source(&bytes, &digest), |_| {}).await.expect("pushed");
    drop(registry);
    assert!(read(&pull, &digest, 0).await.expect("from the mirror") == bytes);
}

async fn refusal(behaviour: Behaviour) -> RegistryError {
    let toy = Toy::start(behaviour).await;
    let pull = session(&config(), &toy.host, Login::Anonymous, Purpose::Pull);
    pull.manifest("1.0").await.expect_err("it misbehaves")
}

#[tokio::test]
async fn every_way_to_fail_has_its_own_reason() {
    use RegistryError as E;
    let error = refusal(Behaviour::Hang).await;
    assert!(matches!(error, E::Silent { .. }), "{error}");
    let error = refusal(Behaviour::Answer("500 Internal Server Error", "")).await;
    assert!(matches!(error, E::Failing { status: 500, .. }), "{error}");
    let error = refusal(Behaviour::Answer("403 Forbidden", "")).await;
    assert!(matches!(error, E::Forbidden { .. }), "{error}");
    let error = refusal(Behaviour::Answer("404 Not Found", "")).await;
    assert!(error.is_unknown(), "{error}");
    let error = refusal(Behaviour::Answer("401 Unauthorized", "WWW-Authenticate: Basic")).await;
    assert!(matches!(error, E::LoginWanted { .. }), "{error}");
    let error = refusal(Behaviour::Answer("429 Too Many Requests", "Retry-After: 30")).await;
    let wait = Some(Duration::from_secs(30));
    assert!(matches!(error, E::TooMany { retry_after, .. } if retry_after == wait), "{error}");
    let error = refusal(Behaviour::Cut).await;
    assert!(matches!(error, E::Cut { .. }), "{error}");
}

#[tokio::test]
async fn nobody_there_is_a_reason_too() {
    let host = real::free_host();
    let pull = session(&config(), &host, Login::Anonymous, Purpose::Pull);
    let error = pull.manifest("1.0").await.expect_err("nobody listens");
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_registry_that_cannot_resume_costs_bytes_and_nothing_else() {
    let (bytes, digest) = blob(50_000);
    let toy = Toy::start(Behaviour::Whole(bytes.clone())).await;
    let pull = session(&config(), &toy.host, Login::Anonymous, Purpose::Pull);
    assert!(read(&pull, &digest, 20_000).await.expect("the end") == bytes[20_000..]);
}

#[tokio::test]
async fn an_answer_that_ends_early_is_not_taken_for_whole() {
    let (bytes, digest) = blob(50_000);
    let toy = Toy::start(Behaviour::Short(bytes)).await;
    let pull = session(&config(), &toy.host, Login::Anonymous, Purpose::Pull);
    let error = read(&pull, &digest, 0).await.expect_err("half of it");
    assert!(matches!(error, RegistryError::Cut { .. }), "{error}");
}

#[tokio::test]
async fn a_token_is_fetched_where_the_registry_says() {
    let toy = Toy::start(Behaviour::Token).await;
    let pull = session(&config(), &toy.host, ann("s3cret"), Purpose::Pull);
    let manifest = pull.manifest("1.0").await.expect("with a token");
    assert_eq!(manifest.bytes.as_ref(), b"{}");
}

#[tokio::test]
async fn one_token_does_for_all_that_is_taken_from_a_repository() {
    let toy = Toy::start(Behaviour::Token).await;
    let config = config();
    let asked = || toy.tokens.load(std::sync::atomic::Ordering::Relaxed);
    let pulls: Vec<_> =
        (0..6).map(|_| session(&config, &toy.host, ann("s3cret"), Purpose::Pull)).collect();
    let all = pulls.iter().map(|pull| pull.manifest("1.0"));
    for manifest in futures_util::future::join_all(all).await {
        manifest.expect("with a token");
    }
    assert_eq!(asked(), 1);
    let error = session(&config, &toy.host, ann("wrong"), Purpose::Pull).manifest("1.0").await;
    assert!(
        matches!(error, Err(RegistryError::LoginRefused { .. })),
        "nobody else's token is used"
    );
}

#[tokio::test]
async fn a_part_that_was_not_asked_for_is_not_taken_for_the_one_that_was() {
    let (bytes, digest) = blob(50_000);
    for from in [20_000, 0, 10_000, 30_000] {
        let toy = Toy::start(Behaviour::Part(bytes.clone(), from)).await;
        let pull = session(&config(), &toy.host, Login::Anonymous, Purpose::Pull);
        assert!(read(&pull, &digest, 20_000).await.expect("the end") == bytes[20_000..], "{from}");
    }
}
