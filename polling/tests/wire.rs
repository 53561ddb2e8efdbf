//! What goes over the wire, tried on the real binary.

lab::common_tests!("polling");

#[test]
fn all_that_takes_its_time() {
    lab::run(lab::together(lab::suite::slow::parts("polling")));
}
