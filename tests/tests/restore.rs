//! The restore drill: a host that is backed up continuously is killed under load, its data are deleted, and the shop goes on from
//! the backup. What was acknowledged more than a second before is there.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use souk_kit::testing::Dice;
use souk_tests::{
    checker::{Books, assert_sound, settle},
    client::{Answer, Client},
    folder::Folder,
    shop::{Shop, souk},
    shoppers::{Checkout, TOKENS, Tally, dice_of, fill, number_of},
    wait::{AFTER_A_TIMER, SOON, eventually},
};
use tokio::task::JoinSet;

/// Names how many drills there are, when not as many as below.
const DRILLS_VARIABLE: &str = "SOUK_DRILLS";
/// How many drills there are.
const DRILLS: usize = 1;
/// Shoppers at once.
const SHOPPERS: u64 = 24;
/// Orders that are acknowledged at least before the blow, and for how long at least.
const ORDERS_MIN: usize = 50;
/// How long shoppers buy at least.
const LOAD_MIN: Duration = Duration::from_secs(3);
/// Milliseconds more at most.
const LOAD_MORE_MS: u64 = 1_500;
/// What is acknowledged longer than that before the blow is in the backup.
const LOSS_MAX: Duration = Duration::from_secs(1);
/// From the loss of the data to a shop that is ready.
const RESTORE_MAX: Duration = Duration::from_secs(60);
/// How long a shop may take to settle: the timer of a checkout comes after half a minute.
const SETTLE_MAX: Duration = Duration::from_secs(240);

/// A checkout and when it was acknowledged.
type Acknowledged = (Instant, (Checkout, Answer));

/// Waits until the backup of a running host can be restored.
async fn backed_up(shop: &Shop) {
    let private = Client::at(&shop.private);
    eventually(AFTER_A_TIMER, "a generation of the backup", async || {
        let metrics = private.get("/metrics").await.expect(200).text;
        let stamp = metrics.lines().find_map(|line| line.strip_prefix("souk_backup_timestamp_seconds "));
        stamp.and_then(|stamp| stamp.parse::<f64>().ok()).filter(|stamp| *stamp > 0.0)
    })
    .await;
}

/// Buys until it is over.
async fn shop_on(
    client: Client,
    variant: String,
    mut dice: Dice,
    over: Arc<AtomicBool>,
    heard: Arc<Mutex<Vec<Acknowledged>>>,
) {
    while !over.load(Ordering::Relaxed) {
        let (token, key) = (*dice.pick(&TOKENS), dice.roll().to_string());
        let Some(checkout) = fill(&client, &variant, key, token).await else { continue };
        if let Some(answer) = checkout.send(&client).await {
            heard.lock().expect("no shopper panics in here").push((Instant::now(), (checkout, answer)));
        }
    }
}

/// Buys, kills the host, deletes its data, restores and starts it again; asserts what must be there.
async fn drill(shop: &mut Shop, backup: &Folder, variant: &str, dice: &mut Dice) {
    backed_up(shop).await;
    let (over, heard) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let mut shoppers = JoinSet::new();
    for _ in 0..SHOPPERS {
        let (client, dice) = (Client::guest(shop), Dice::new(dice.roll()));
        shoppers.spawn(shop_on(client, variant.to_owned(), dice, Arc::clone(&over), Arc::clone(&heard)));
    }
    let begun = Instant::now();
    let load = LOAD_MIN + Duration::from_millis(dice.below(LOAD_MORE_MS));
    eventually(AFTER_A_TIMER, "shoppers are answered", async || {
        let orders = heard.lock().expect("no shopper panics in here").len();
        (orders >= ORDERS_MIN && begun.elapsed() >= load).then_some(())
    })
    .await;
    let blow = Instant::now();
    let restored = tokio::task::block_in_place(|| {
        shop.kill();
        over.store(true, Ordering::Relaxed);
        shop.lose_data();
        let file = shop.database_file();
        let output = souk().arg("restore").args([backup.path(), &file]).output().expect("the command starts");
        assert!(output.status.success(), "souk restore: {}", String::from_utf8_lossy(&output.stderr));
        let restored = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert_eq!(Books::open(&file).findings(), [], "the books add up at any moment");
        shop.launch();
        restored
    });
    let took = blow.elapsed();
    assert!(took < RESTORE_MAX, "the shop was away for {took:?}");
    shoppers.join_all().await;

    let heard = std::mem::take(&mut *heard.lock().expect("the shoppers are gone"));
    let books = Books::of(shop);
    let orders: BTreeSet<String> =
        books.pairs("SELECT id, stage FROM order_orders").into_iter().map(|(id, _)| id).collect();
    let lost = heard.iter().filter(|(_, (_, answer))| !orders.contains(&answer.text_at("/id")));
    let ages: Vec<Duration> = lost.map(|(at, _)| blow.saturating_duration_since(*at)).collect();
    let loss = ages.iter().max().copied().unwrap_or_default();
    let (old, young): (Vec<Acknowledged>, Vec<Acknowledged>) =
        heard.into_iter().partition(|(at, _)| *at + LOSS_MAX < blow);
    println!(
        "restore drill: {restored}; {} orders acknowledged, {} of them within the last second; {} lost, the oldest {loss:.0?} \
         before the kill; away for {took:.1?}",
        old.len() + young.len(),
        young.len(),
        ages.len(),
    );
    assert!(loss <= LOSS_MAX, "an order is gone that was acknowledged {loss:?} before the kill");
    assert!(old.len() >= ORDERS_MIN / 2, "there were orders that had to be there: {}", old.len());
    settle(shop, SETTLE_MAX).await;
    let old: Vec<(Checkout, Answer)> = old.into_iter().map(|(_, acknowledged)| acknowledged).collect();
    // Orders of the last second and of those who were not answered are there or not: of the others none is lost.
    let tally = Tally::of(&Books::of(shop), old.iter(), &[]);
    assert_eq!((tally.lost, tally.double_captures, tally.oversold, tally.unbalanced), (0, 0, 0, 0), "{tally}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shop_whose_disk_is_gone_goes_on_from_its_backup() {
    let mut dice = dice_of("restore drill");
    let backup = Folder::new();
    let mut shop = Shop::start_backed_up(backup.path());
    let variant = Client::staff(&shop).await.stocked_variant("durable", 1_000_000).await;
    for _ in 0..number_of(DRILLS_VARIABLE, DRILLS) {
        drill(&mut shop, &backup, &variant, &mut dice).await;
    }
    let client = Client::guest(&shop);
    let bought = eventually(SOON, "the restored shop sells", async || {
        let checkout = fill(&client, &variant, "after-the-drill".into(), TOKENS[0]).await?;
        checkout.send(&client).await
    })
    .await;
    assert_eq!(bought.json["state"], "confirmed");
    settle(&shop, SETTLE_MAX).await;
    shop.kill();
    assert_sound(&shop);
}
