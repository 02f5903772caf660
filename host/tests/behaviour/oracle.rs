//! last-location against an oracle computed outside the host.
//!
//! GREGOR_TEST_RECORDS says how many records (1,000,000 for the full proof),
//! GREGOR_TEST_SEED which ones. Neither records nor outputs are kept: every
//! patient's n-th record follows from the seed.

use std::time::Duration;

use crate::support::{Oracle, PATIENCE, PATIENTS, Patients, Pipeline, Settings, Setup, Stage, kafka};

const RECORDS: u64 = 20_000;

#[test]
fn every_output_of_last_location_is_what_an_oracle_says() {
    let Settings { records, seed, .. } = Settings::or(RECORDS, 1);
    let (source, sink) = (kafka().topic(6), kafka().topic(6));
    let mut patients = Patients::new(seed);
    kafka().produce(&source, patients.by_ref().take(records as usize));

    let pipeline = Pipeline::new(&source).sink(&sink).stage(Stage::new("last-location"));
    let setup = Setup::new().workers(3).pipeline(pipeline);
    let mut host = setup.spawn_as("one", &["--bounded"]);
    assert_eq!(host.wait_exit_within(PATIENCE + Duration::from_millis(records / 5)), Some(0));

    let mut oracle = Oracle::new(seed);
    let mut counts = vec![0; PATIENTS];
    kafka().read_each(&sink, |output| {
        let nth = oracle.check(&output);
        counts[nth.patient] += 1;
        assert_eq!(nth.n, counts[nth.patient], "outputs of a patient, in order");
        assert_eq!(output.timestamp, oracle.timestamp(nth), "the output's own timestamp");
    });
    assert_eq!(counts, patients.produced().counts, "records of each patient");
    assert!(kafka().is_settled(&setup.app, &source));
}
