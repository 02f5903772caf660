use crate::circle::Circle;

fn circle(text: &str) -> Circle {
    Circle::parse(text).expect("a circle")
}

#[test]
fn it_holds_what_is_at_most_its_radius_away() {
    // A degree of latitude is 111,194.9 m on the sphere.
    let circle = circle("38 -9, 111195");
    assert!(circle.contains(38.0, -9.0) && circle.contains(39.0, -9.0) && circle.contains(37.0, -9.0));
    assert!(!circle.contains(39.0001, -9.0) && !circle.contains(38.0, -10.3));
    assert!(circle.contains(38.0, -10.2), "degrees of longitude are shorter here");
}

#[test]
fn it_goes_over_the_antimeridian_and_the_poles() {
    assert!(circle("0 179.9, 50000").contains(0.0, -179.9));
    assert!(circle("0 -180, 1").contains(0.0, 180.0));
    assert!(circle("89 0, 230000").contains(89.0, 180.0));
    assert!(!circle("89 0, 200000").contains(89.0, 180.0));
}

#[test]
fn what_is_no_circle_is_refused_with_what_to_write() {
    for (text, told) in [
        ("", "a circle is its centre and its radius"),
        ("38.7 -9.1 150", "a circle is its centre and its radius"),
        ("38.7, -9.1, 150", "\"38.7\" is no position"),
        ("38.7 -9.1 3, 150", "is no position"),
        ("91 0, 150", "\"91\" is no latitude"),
        ("0 -180.1, 150", "\"-180.1\" is no longitude"),
        ("NaN 0, 150", "\"NaN\" is no latitude"),
        ("x 0, 150", "\"x\" is no latitude"),
        ("0 0, 0", "\"0\" is no radius"),
        ("0 0, -1", "\"-1\" is no radius"),
        ("0 0, 150m", "\"150m\" is no radius"),
        ("0 0, inf", "\"inf\" is no radius"),
        ("0 0, NaN", "\"NaN\" is no radius"),
        ("0 0, 20100000", "less than 20015087"),
    ] {
        let refused = Circle::parse(text).expect_err(text);
        assert!(refused.contains(told), "{text}: {refused}");
    }
}
