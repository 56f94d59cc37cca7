//! `make bench`: Souk beside a native program that does the same work, in one alternating run.
//!
//! Prints a table of ratios and writes `target/bench.json`. Timings of a busy machine are noisy, so every figure is the
//! median of alternating rounds, and CPU time counts where it can. Exits with 1 when a goal is missed.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use souk_tests::{
    client::Client,
    folder::Folder,
    shop::{Limits, Platform, Shop, root, souk},
};

/// Rounds of each kind.
const ROUNDS: usize = 15;
/// Requests for the product list in one round.
const LIST_REQUESTS: usize = 4_000;
/// Connections that ask for the list.
const LIST_CLIENTS: usize = 8;
/// Rounds of checkouts.
const CHECKOUT_ROUNDS: usize = 3;
/// Clients that check out at once.
const CHECKOUT_CLIENTS: usize = 32;
/// The same beside Spin, whose requests wait for the one lock of its SQLite file without a queue: of 32 some wait in vain.
const SPIN_CLIENTS: usize = 8;
/// Checkouts of one client in one round.
const CHECKOUTS_EACH: usize = 25;
/// Starts of each program.
const STARTS: usize = 5;
/// Longest wait for a first answer.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(30);

/// One figure, its goal, and what the rival did in the same run.
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    rival: f64,
    /// The value must not be above this, or below it when it counts what should be high.
    goal: Option<Goal>,
}

enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

/// A process that is ended with its handle.
struct Rival {
    child: Child,
    url: String,
}

impl Rival {
    fn start(lists: &std::path::Path, folder: &Folder) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let orders = folder.path().join(format!("rival-{}.db", COUNT.fetch_add(1, Ordering::Relaxed)));
        let mut child = Command::new(root().join("target/release/rival"))
            .args([lists, &orders])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the rival starts; run `make bench`");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("standard output is piped"))
            .read_line(&mut line)
            .expect("it says where it is");
        Self { child, url: line.trim().to_owned() }
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut shop = sample_shop(Platform::Sqlite);
    let folder = Folder::new();
    let mut figures = Vec::new();
    {
        let rival = Rival::start(&shop.data().join("souk.db"), &folder);
        figures.push(product_list(&shop, &rival).await);
        figures.extend(checkouts(&shop, &rival).await);
    }
    figures.extend(beside("postgres", &sample_shop(Platform::Postgres(1)), &shop, CHECKOUT_CLIENTS).await);
    match Command::new("spin").arg("--version").output() {
        Ok(_) => figures.extend(beside("spin", &sample_shop(Platform::Spin), &shop, SPIN_CLIENTS).await),
        Err(error) => println!("spin up: not measured, there is no program spin ({error})"),
    }
    figures.extend(starts(&mut shop, &folder).await);
    let missed = report(&figures);
    // Returned, so that the shop and its folder are gone when this is over.
    ExitCode::from(u8::from(missed > 0))
}

/// A shop with the sample in it.
fn sample_shop(platform: Platform) -> Shop {
    let shop = Shop::start_on(platform, Limits::Lifted, &[]);
    let seeded = souk()
        .args(["seed", "sample/shop.jsonl", "--url", &shop.url, "--secrets"])
        .arg(shop.data().join("secrets.toml"))
        .current_dir(root())
        .stdout(Stdio::null())
        .status()
        .expect("the host starts");
    assert!(seeded.success(), "the sample shop is seeded");
    shop
}

/// CPU time per request of the product list, all threads of the server.
async fn product_list(shop: &Shop, rival: &Rival) -> Figure {
    let list = "/api/v1/store/products?limit=20";
    let (a, b) = (Client::guest(shop).get(list).await, Client::at(&rival.url).get(list).await);
    assert_eq!(a.text, b.text, "both answer the same, byte for byte");
    assert_eq!(a.json["data"].as_array().map(Vec::len), Some(20));
    println!("bytes of the list: {}", a.text.len());
    let (mut own, mut native, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let mine = cpu_per_request(shop.pid(), &shop.url, list).await;
        let other = cpu_per_request(rival.child.id(), &rival.url, list).await;
        // The first round warms caches on both sides.
        if round > 0 {
            println!(
                "product list, round {round}: {mine:.1} µs of CPU, rival {other:.1} µs, {:.2} times",
                mine / other
            );
            own.push(mine);
            native.push(other);
            ratios.push(mine / other);
        }
    }
    println!("product list: {:.1} µs of CPU a request, rival {:.1} µs", median(&mut own), median(&mut native));
    Figure {
        name: "product_list_cpu_ratio".into(),
        value: median(&mut ratios),
        unit: "times native",
        rival: 1.0,
        goal: Some(Goal::AtMost(2.0)),
    }
}

async fn cpu_per_request(pid: u32, url: &str, path: &'static str) -> f64 {
    let before = cpu_seconds(pid);
    ask_for(path, url).await;
    (cpu_seconds(pid) - before) * 1e6 / LIST_REQUESTS as f64
}

/// Asks so many times, on so many connections at once.
async fn ask_for(path: &'static str, url: &str) {
    let client = Client::at(url);
    let tasks: Vec<_> = (0..LIST_CLIENTS)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                for _ in 0..LIST_REQUESTS / LIST_CLIENTS {
                    client.get(path).await.expect(200);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("every request is answered");
    }
}

/// Lists and checkouts a second on another platform beside our own host with SQLite, in alternating rounds.
async fn beside(name: &'static str, other: &Shop, own: &Shop, clients: usize) -> Vec<Figure> {
    let mut variants = Vec::new();
    for shop in [own, other] {
        let staff = Client::staff_named(shop, "staff@souk.example", "bazaar-morning-42").await;
        variants.push(staff.stocked_variant(&format!("beside-{name}"), 1_000_000).await);
    }
    let (mut lists, mut placed) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for round in 1..=CHECKOUT_ROUNDS {
        for (place, shop) in [own, other].into_iter().enumerate() {
            let started = Instant::now();
            ask_for("/api/v1/store/products?limit=20", &shop.url).await;
            lists[place].push(LIST_REQUESTS as f64 / started.elapsed().as_secs_f64());
            let guest = Client::guest(shop);
            let prepared = prepare(&guest, &variants[place], clients).await;
            let started = Instant::now();
            run(prepared, place_order, &guest).await;
            placed[place].push((clients * CHECKOUTS_EACH) as f64 / started.elapsed().as_secs_f64());
        }
        println!(
            "{name}, round {round}: {:.0} lists and {:.0} checkouts a second, with SQLite {:.0} and {:.0}",
            lists[1][round - 1],
            placed[1][round - 1],
            lists[0][round - 1],
            placed[0][round - 1]
        );
    }
    let figure = |what: &str, [own, other]: &mut [Vec<f64>; 2]| Figure {
        name: format!("{name}_{what}_per_second"),
        value: median(other),
        unit: "1/s",
        rival: median(own),
        goal: None,
    };
    vec![figure("lists", &mut lists), figure("checkouts", &mut placed)]
}

/// Whole sagas per second, each on disk when it is answered, from carts that were filled and quoted before.
async fn checkouts(shop: &Shop, rival: &Rival) -> Vec<Figure> {
    let staff = Client::staff_named(shop, "staff@souk.example", "bazaar-morning-42").await;
    let variant = staff.stocked_variant("bench", 1_000_000).await;
    let guest = Client::guest(shop);
    let (mut own, mut native, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..CHECKOUT_ROUNDS {
        let started = Instant::now();
        let prepared = prepare(&guest, &variant, CHECKOUT_CLIENTS).await;
        let preparing = started.elapsed();
        let total = (CHECKOUT_CLIENTS * CHECKOUTS_EACH) as f64;
        let started = Instant::now();
        run(prepared, place_order, &guest).await;
        let seconds = started.elapsed().as_secs_f64();
        own.push(total / seconds);
        whole.push(total / (seconds + preparing.as_secs_f64()));
        let orders = (0..CHECKOUT_CLIENTS)
            .map(|client| {
                (0..CHECKOUTS_EACH)
                    .map(|n| {
                        (
                            String::new(),
                            json!({"id": format!("{round}-{client}-{n}"), "address": "1 Main Street, Springfield"}),
                        )
                    })
                    .collect()
            })
            .collect();
        let started = Instant::now();
        run(
            orders,
            |client, (_, body)| async move {
                client.post("/checkout", &body).await.expect(201);
            },
            &Client::at(&rival.url),
        )
        .await;
        native.push(total / started.elapsed().as_secs_f64());
        println!("checkouts, round {}: {:.0} a second, rival {:.0}", round + 1, own[round], native[round]);
    }
    let rival = median(&mut native);
    vec![
        Figure {
            name: "checkouts_per_second".into(),
            value: median(&mut own),
            unit: "1/s",
            rival,
            goal: Some(Goal::AtLeast(300.0)),
        },
        Figure {
            name: "shopper_journeys_per_second".into(),
            value: median(&mut whole),
            unit: "1/s",
            rival,
            goal: None,
        },
    ]
}

type Job = (String, Value);

async fn place_order(client: Client, (cart, body): Job) {
    let path = format!("/api/v1/store/carts/{cart}/checkout");
    let answer = client.post_once(&path, &format!("bench-{cart}"), &body).await.expect(201);
    assert_eq!(answer.text_at("/state"), "confirmed");
}

/// Carts with one line each and a quote for so many clients, ready to be checked out.
async fn prepare(guest: &Client, variant: &str, clients: usize) -> Vec<Vec<Job>> {
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let (guest, variant) = (guest.clone(), variant.to_owned());
            tokio::spawn(async move {
                let mut jobs = Vec::with_capacity(CHECKOUTS_EACH);
                for _ in 0..CHECKOUTS_EACH {
                    jobs.push(guest.quoted_cart(&variant, 1).await);
                }
                jobs
            })
        })
        .collect();
    let mut prepared = Vec::new();
    for task in tasks {
        prepared.push(task.await.expect("every cart is quoted"));
    }
    prepared
}

async fn run<F, Done>(jobs: Vec<Vec<Job>>, job: F, client: &Client)
where
    F: Fn(Client, Job) -> Done + Send + Sync + 'static,
    Done: Future<Output = ()> + Send,
{
    let job = Arc::new(job);
    let tasks: Vec<_> = jobs
        .into_iter()
        .map(|jobs| {
            let (job, client) = (job.clone(), client.clone());
            tokio::spawn(async move {
                for each in jobs {
                    job(client.clone(), each).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("every request is answered");
    }
}

/// From the start of the process to its first answer, with compiled components in the cache; and memory then.
async fn starts(shop: &mut Shop, folder: &Folder) -> Vec<Figure> {
    let (mut own, mut native, mut memory, mut rivals_memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let lists = shop.data().join("souk.db");
    for _ in 0..STARTS {
        shop.kill();
        let started = Instant::now();
        shop.launch();
        own.push(first_answer(&shop.url, "/api/v1/store/products?limit=20", started).await);
        memory.push(resident_mb(shop.pid()));
        let started = Instant::now();
        let rival = Rival::start(&lists, folder);
        native.push(first_answer(&rival.url, "/api/v1/store/products?limit=20", started).await);
        rivals_memory.push(resident_mb(rival.child.id()));
    }
    vec![
        Figure {
            name: "first_answer_ms".into(),
            value: median(&mut own),
            unit: "ms",
            rival: median(&mut native),
            goal: Some(Goal::AtMost(100.0)),
        },
        Figure {
            name: "idle_rss_mb".into(),
            value: median(&mut memory),
            unit: "MB",
            rival: median(&mut rivals_memory),
            goal: Some(Goal::AtMost(64.0)),
        },
    ]
}

async fn first_answer(url: &str, path: &str, started: Instant) -> f64 {
    let client = Client::at(url);
    while started.elapsed() < FIRST_ANSWER_MAX {
        if client.try_send("GET", path, &[], None).await.is_ok_and(|answer| answer.status == 200) {
            return started.elapsed().as_secs_f64() * 1e3;
        }
    }
    panic!("no answer from {url} within {FIRST_ANSWER_MAX:?}");
}

/// Time that the threads of a process have been running so far (`/proc/PID/task/TID/schedstat`, first field, nanoseconds).
fn cpu_seconds(pid: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    let nanoseconds = |thread: std::io::Result<fs::DirEntry>| -> Option<f64> {
        // A thread that ends meanwhile is not counted on either side.
        let stat = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse().ok()
    };
    threads.filter_map(nanoseconds).sum::<f64>() / 1e9
}

/// Resident memory of a process in megabytes.
fn resident_mb(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has resident memory");
    let kib: f64 = line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("memory is a number");
    kib * 1024.0 / 1e6
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Prints and writes the figures, and answers how many goals were missed.
fn report(figures: &[Figure]) -> usize {
    let mut missed = 0;
    println!("\n{:<28} {:>10} {:>10}  {:<13} goal", "figure", "souk", "rival", "unit");
    for figure in figures {
        let (goal, met) = match figure.goal {
            None => (String::new(), true),
            Some(Goal::AtMost(most)) => (format!("at most {most}"), figure.value <= most),
            Some(Goal::AtLeast(least)) => (format!("at least {least}"), figure.value >= least),
        };
        missed += usize::from(!met);
        let verdict = if met { "" } else { "  MISSED" };
        println!(
            "{:<28} {:>10.2} {:>10.2}  {:<13} {goal}{verdict}",
            figure.name, figure.value, figure.rival, figure.unit
        );
    }
    let list: Vec<Value> = figures
        .iter()
        .map(|figure| json!({"name": figure.name, "value": figure.value, "unit": figure.unit, "rival": figure.rival}))
        .collect();
    let path = root().join("target/bench.json");
    fs::write(&path, format!("{:#}\n", Value::Array(list))).expect("target/ takes the figures");
    println!("\nwritten to {}\n{} passed, {missed} failed", path.display(), figures.len() - missed);
    missed
}
