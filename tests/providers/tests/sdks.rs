//! The companies' own client libraries drive the simulators through whole flows: `sdk/` holds their scripts. What Stripe's
//! for Python is answered is held against Stripe's own OpenAPI file; SendGrid's and Twilio's likewise.
//!
//! `tests/providers/setup.sh` gets the libraries.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use souk_providers::paypal::PayPal;
use souk_providers::sendgrid::SendGrid;
use souk_providers::server::{self, Clock, Site};
use souk_providers::stripe::Stripe;
use souk_providers::twilio::Twilio;
use tokio::process::Command;
use tokio::time::timeout;

/// Longest run of one script.
const SCRIPT_WAIT_MAX: Duration = Duration::from_secs(120);
const KEY: &str = "sk_test_simulator";
const PAYPAL_CREDENTIALS: &str = "simulator:simulator-secret";
const SENDGRID_KEY: &str = "SG.simulator";
const TWILIO_CREDENTIALS: &str = "AC00000000000000000000000000000001:simulator";

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

/// A script in Python. `file` is a company's OpenAPI file, and the variable that says to the script where it is.
async fn run_python<P: Site>(script: &str, credentials: &str, file: Option<(&str, &str)>) {
    let (libraries, openapi) = (libraries().join("python"), libraries().join("openapi"));
    let file = file.map(|(variable, file)| (variable, openapi.join(file)));
    let mut variables = vec![("PYTHONPATH", libraries.as_path())];
    variables.extend(file.iter().map(|(variable, file)| (*variable, file.as_path())));
    run::<P>(Path::new("python3"), script, credentials, &variables).await;
}

async fn run_node<P: Site>(script: &str, credentials: &str) {
    let (node, packages) = (libraries().join("node-binary"), libraries().join("npm"));
    run::<P>(&node, script, credentials, &[("SDK_FOLDER", &packages)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripes_library_for_python_and_its_openapi_file_and_the_simulator_agree() {
    run_python::<Stripe>("stripe_flow.py", KEY, Some(("STRIPE_OPENAPI", "stripe.com.json"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripes_library_for_node_and_the_simulator_agree() {
    run_node::<Stripe>("stripe_flow.mjs", KEY).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paypals_library_for_python_and_the_simulator_agree() {
    run_python::<PayPal>("paypal_flow.py", PAYPAL_CREDENTIALS, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sendgrids_library_for_python_and_its_openapi_file_and_the_simulator_agree() {
    run_python::<SendGrid>("sendgrid_flow.py", SENDGRID_KEY, Some(("SENDGRID_OPENAPI", "sendgrid.com.json"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sendgrids_library_for_node_and_the_simulator_agree() {
    run_node::<SendGrid>("sendgrid_flow.mjs", SENDGRID_KEY).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twilios_library_for_python_and_its_openapi_file_and_the_simulator_agree() {
    let file = ("TWILIO_OPENAPI", "twilio.com/api.json");
    run_python::<Twilio>("twilio_flow.py", TWILIO_CREDENTIALS, Some(file)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twilios_library_for_node_and_the_simulator_agree() {
    run_node::<Twilio>("twilio_flow.mjs", TWILIO_CREDENTIALS).await;
}
