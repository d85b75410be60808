//! What somebody who mistyped a name may have meant.

/// The name most like `typed` among `names`, if any is: a letter wrong, missing, too many or in another place for each three.
#[must_use]
pub fn similar<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = typed.to_lowercase();
    let distance = |name: &str| strsim::osa_distance(&lower, &name.to_lowercase());
    let nearest = names
        .into_iter()
        .map(|name| (distance(name), name))
        .min_by_key(|(distance, _)| *distance);
    let (distance, name) = nearest?;
    (distance <= lower.chars().count() / 3).then_some(name)
}

/// ` (did you mean `digits`?)`, or nothing: to be put behind what was found.
#[must_use]
pub fn did_you_mean<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    similar(typed, names).map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood_and_another_word_is_not() {
        let names = ["mnist", "fashion-mnist", "kmnist", "digits"];
        for (typed, meant) in [
            ("mnits", Some("mnist")),
            ("MNIST", Some("mnist")),
            ("fashion_mnist", Some("fashion-mnist")),
            ("digit", Some("digits")),
            ("cifar", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(similar(typed, names), meant, "{typed}");
        }
        assert_eq!(did_you_mean("digist", names), " (did you mean `digits`?)");
        assert_eq!(did_you_mean("photos", names), "");
    }
}
