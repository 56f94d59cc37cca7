//! The companies' own client libraries drive the simulators through whole flows: `sdk/` holds their scripts. What Stripe's
//! for Python is answered is held against Stripe's own OpenAPI file, and SendGrid's likewise.
//!
//! `tests/providers/setup.sh` gets the libraries.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use souk_providers::paypal::PayPal;
use souk_providers::sendgrid::SendGrid;
use souk_providers::server::{self, Clock, Site};
use souk_providers::stripe::Stripe;
use tokio::process::Command;
use tokio::time::timeout;

/// Longest run of one script.
const SCRIPT_WAIT_MAX: Duration = Duration::from_secs(120);
const KEY: &str = "sk_test_simulator";
const PAYPAL_CREDENTIALS: &str = "simulator:simulator-secret";
const SENDGRID_KEY: &str = "SG.simulator";

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn libraries() -> PathBuf {
    let folder = here().join("../../target/providers");
    assert!(folder.exists(), "run tests/providers/setup.sh first");
    folder
}

async fn run<P: Site>(program: &Path, script: &str, credentials: &str, variables: &[(&str, &Path)]) {
    // A clock of its own: scripts move it by days.
    let server = server::start::<P>(0, credentials, 7, Clock::Goes(0)).await.expect("a port is free");
    let mut command = Command::new(program);
    command.arg(here().join("sdk").join(script)).stdin(Stdio::null()).kill_on_drop(true);
    command.env("SIMULATOR_URL", &server.url).env("SIMULATOR_KEY", credentials).envs(variables.iter().copied());
    let output = timeout(SCRIPT_WAIT_MAX, command.output()).await.expect("it ends in time").expect("it starts");
    let said = [output.stdout, output.stderr].concat();
    println!("{}", String::from_utf8_lossy(&said));
    assert!(output.status.success(), "{script}: {}", output.status);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripes_library_for_python_and_its_openapi_file_and_the_simulator_agree() {
    let libraries = libraries();
    let variables =
        [("PYTHONPATH", libraries.join("python")), ("STRIPE_OPENAPI", libraries.join("openapi/stripe.com.json"))];
    run::<Stripe>(
        Path::new("python3"),
        "stripe_flow.py",
        KEY,
        &variables.each_ref().map(|(name, path)| (*name, path.as_path())),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripes_library_for_node_and_the_simulator_agree() {
    let libraries = libraries();
    run::<Stripe>(&libraries.join("node-binary"), "stripe_flow.mjs", KEY, &[("SDK_FOLDER", &libraries.join("npm"))])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paypals_library_for_python_and_the_simulator_agree() {
    let library = libraries().join("python");
    run::<PayPal>(Path::new("python3"), "paypal_flow.py", PAYPAL_CREDENTIALS, &[("PYTHONPATH", &library)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sendgrids_library_for_python_and_its_openapi_file_and_the_simulator_agree() {
    let libraries = libraries();
    let variables =
        [("PYTHONPATH", libraries.join("python")), ("SENDGRID_OPENAPI", libraries.join("openapi/sendgrid.com.json"))];
    run::<SendGrid>(
        Path::new("python3"),
        "sendgrid_flow.py",
        SENDGRID_KEY,
        &variables.each_ref().map(|(name, path)| (*name, path.as_path())),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sendgrids_library_for_node_and_the_simulator_agree() {
    let libraries = libraries();
    let (node, packages) = (libraries.join("node-binary"), libraries.join("npm"));
    run::<SendGrid>(&node, "sendgrid_flow.mjs", SENDGRID_KEY, &[("SDK_FOLDER", &packages)]).await;
}
