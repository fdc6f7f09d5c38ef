//! Groups as they are told in a reason: bounded, since certificates say what they want and lists can be long.

/// Names told of one list.
const NAMES: usize = 8;

/// Characters told of one name.
const CHARACTERS: usize = 100;

/// What a caller is called.
pub(super) fn of_caller(groups: &[String]) -> String {
    match groups {
        [group] => format!("group {}", quoted(group)),
        groups => format!("none of the groups {}", list(groups, &[""])),
    }
}

/// In quotes, without control characters, and cut if it is long.
pub(super) fn quoted(group: &str) -> String {
    match group.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{:?}…", &group[..end]),
        None => format!("{group:?}"),
    }
}

/// The names on a list: first those that one of `nearly` would be in another case.
pub(super) fn list<L: AsRef<str>, G: AsRef<str>>(list: &[L], nearly: &[G]) -> String {
    let is_near = |name: &&L| {
        let lower = name.as_ref().to_lowercase();
        nearly.iter().any(|group| group.as_ref().to_lowercase() == lower)
    };
    let mut near: Vec<_> = list.iter().filter(is_near).take(NAMES).collect();
    let has_near = !near.is_empty();
    near.extend(list.iter().filter(|name| !is_near(name)).take(NAMES - near.len()));
    let names: Vec<_> = near.iter().map(|name| quoted(name.as_ref())).collect();
    let more = list.len() - names.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let hint = if has_near { ", where it is written in another case" } else { "" };
    format!("[{}]{more}{hint}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_told_in_part_and_what_is_near_first() {
        assert_eq!(list(&["a", "b"], &["c"]), r#"["a", "b"]"#);
        let many: Vec<_> = (0..100).map(|index| format!("group-{index}")).collect();
        let told = list(&many, &["Group-77"]);
        assert!(told.starts_with(r#"["group-77", "group-0", "group-1""#), "{told}");
        assert!(told.ends_with(r#""group-6"] and 92 more, where it is written in another case"#), "{told}");
    }

    #[test]
    fn a_name_is_bounded_and_on_one_line() {
        let long = "é".repeat(4000);
        assert_eq!(quoted(&long).chars().count(), CHARACTERS + 3);
        assert_eq!(quoted("a\nb\u{1b}[31m"), r#""a\nb\u{1b}[31m""#);
        assert_eq!(of_caller(&["a".to_owned(), "b".to_owned()]), r#"none of the groups ["a", "b"]"#);
    }
}
