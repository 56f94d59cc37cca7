//! `kill -9` of the host under checkout load, again and again on the same data. What was acknowledged stays; what was not is
//! finished or undone by a restart, without anybody's help.
//!
//! Beside Postgres one of the replicas is killed, and the database with it: the others go on as soon as that is back. On a
//! lattice a host is killed, and the other goes on.

use std::time::{Duration, Instant};

use souk_tests::{
    checker::Books,
    postgres::Cluster,
    shop::{Platform, Shop},
    shoppers::{dice_of, number_of, survive},
};

/// Names how often our own host is killed, when not as often as below.
const KILLS_VARIABLE: &str = "SOUK_KILLS";
/// How often the host is killed.
const KILLS: usize = 20;
/// How often a replica and the database are killed.
const DOUBLE_KILLS: usize = 10;
/// How often Spin is killed.
const SPIN_KILLS: usize = 3;
/// How often one of a lattice's two hosts is killed.
const HOST_KILLS: usize = 2;

/// How often something is killed on this run's platform.
fn rounds() -> usize {
    match Platform::of_this_run() {
        Platform::Sqlite => number_of(KILLS_VARIABLE, KILLS),
        Platform::Spin | Platform::SpinStandIn => SPIN_KILLS,
        Platform::Postgres(_) => number_of(KILLS_VARIABLE, DOUBLE_KILLS),
        Platform::Lattice => HOST_KILLS,
    }
}

/// Kills what the platform has to be killed, looks at the books, and starts it again.
fn kill_and_start(shop: &mut Shop, round: usize) -> Duration {
    match Platform::of_this_run() {
        Platform::Sqlite | Platform::Spin | Platform::SpinStandIn => {
            shop.kill();
        }
        Platform::Postgres(replicas) => {
            shop.kill_replica(round % replicas);
            Cluster::shared().restart_immediately();
        }
        Platform::Lattice => {
            shop.kill_replica(round % HOST_KILLS);
        }
    }
    assert_eq!(Books::of(shop).findings(), [], "the books add up at any moment");
    let begin = Instant::now();
    shop.launch();
    begin.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shop_that_is_killed_again_and_again_loses_nothing_and_takes_nothing_twice() {
    let mut dice = dice_of("crash");
    let mut shop = Shop::start(&[]);
    survive(&mut shop, &mut dice, (rounds(), "kills"), |shop, round, _| kill_and_start(shop, round)).await;
}
