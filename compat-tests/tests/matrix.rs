//! Every client does on a mixed ensemble that we lead what it does on Apache's: the quick areas of
//! the matrix. All of it is `cargo run --release -p compat-tests --bin matrix`.

use compat_tests::matrix::{Area, CLIENTS, Client, SERVERS, run};

#[test]
fn every_client_on_two_apache_servers_led_by_ours() {
    let clients: Vec<&Client> = CLIENTS.iter().collect();
    let led_by_ours = SERVERS.iter().find(|servers| servers.name == "led-by-ours");
    let areas = [Area::Operations, Area::Watches, Area::Acl, Area::Multi];
    let table = run(&clients, &[led_by_ours.expect("an ensemble of that name")], &areas, None);
    println!("{}", table.markdown());
    assert_eq!(table.worse_than_apache(), Vec::<String>::new());
}
