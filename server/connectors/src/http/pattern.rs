//! Channel paths with placeholders: `/customers/{cust_id}/orders`.

/// A parsed channel path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// Placeholder names in order.
    names: Vec<String>,
    shape: Shape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    /// No placeholder.
    Literal,
    /// Placeholders may span slashes.
    Whole(Glob),
    /// They may not: the path's segments, each for itself.
    Segments(Vec<Glob>),
}

/// Text with gaps: `first`, then for each gap the text behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Glob {
    first: String,
    after: Vec<String>,
}

/// Why a path is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    #[error("must begin with `/`")]
    NoSlash,
    #[error("has a brace without its counterpart")]
    Unbalanced,
    #[error("has a placeholder without a name")]
    NoName,
    #[error("names the placeholder `{0}` twice")]
    Twice(String),
    #[error("names a placeholder `{0}`: letters, digits, `_`, `-` and `.` are allowed")]
    Name(String),
}

impl Pattern {
    /// Parses a channel's path.
    pub(crate) fn parse(path: &str, match_slash: bool) -> Result<Self, PatternError> {
        if !path.starts_with('/') {
            return Err(PatternError::NoSlash);
        }
        let mut names = Vec::new();
        let whole = glob(path, &mut names)?;
        let shape = if names.is_empty() {
            Shape::Literal
        } else if match_slash {
            Shape::Whole(whole)
        } else {
            // names have no slash in them, so cutting at slashes cuts no placeholder
            Shape::Segments(
                path.split('/')
                    .map(|segment| glob(segment, &mut Vec::new()))
                    .collect::<Result<_, _>>()?,
            )
        };
        Ok(Self { names, shape })
    }

    /// Whether it has no placeholders.
    pub(crate) fn is_literal(&self) -> bool {
        matches!(self.shape, Shape::Literal)
    }

    /// Placeholder names, in order.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Matches a request's path and gives each placeholder's text to `take`, in order. Of several ways to match, earlier placeholders
    /// take as little as they can. `take` may have been called when the answer is no.
    pub(crate) fn captures<'p>(&self, path: &'p str, take: &mut dyn FnMut(&'p str)) -> bool {
        match &self.shape {
            Shape::Literal => false,
            Shape::Whole(glob) => glob.captures(path, take),
            Shape::Segments(globs) => {
                let mut segments = path.split('/');
                globs
                    .iter()
                    .all(|glob| segments.next().is_some_and(|segment| glob.captures(segment, take)))
                    && segments.next().is_none()
            }
        }
    }
}

/// The texts before, between and behind the placeholders of a path that was parsed. All of them stand in whatever it matches.
pub(crate) fn literals(path: &str) -> impl Iterator<Item = &str> {
    path.split('{')
        .map(|part| part.split_once('}').map_or(part, |(_, literal)| literal))
}

fn glob(text: &str, names: &mut Vec<String>) -> Result<Glob, PatternError> {
    let mut parts = text.split('{');
    let first = parts.next().unwrap_or_default();
    if first.contains('}') {
        return Err(PatternError::Unbalanced);
    }
    let mut after = Vec::new();
    for part in parts {
        let (name, literal) = part.split_once('}').ok_or(PatternError::Unbalanced)?;
        if literal.contains('}') {
            return Err(PatternError::Unbalanced);
        }
        if name.is_empty() {
            return Err(PatternError::NoName);
        }
        if !name
            .chars()
            .all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.'))
        {
            return Err(PatternError::Name(name.to_owned()));
        }
        if names.iter().any(|other| other == name) {
            return Err(PatternError::Twice(name.to_owned()));
        }
        names.push(name.to_owned());
        after.push(literal.to_owned());
    }
    Ok(Glob {
        first: first.to_owned(),
        after,
    })
}

impl Glob {
    /// Each text is looked for as far left as it can stand, and the last one at the end. That finds a match if there is one, in time
    /// proportional to the length: what is left over only grows by matching early.
    fn captures<'p>(&self, path: &'p str, take: &mut dyn FnMut(&'p str)) -> bool {
        let Some(mut rest) = path.strip_prefix(self.first.as_str()) else {
            return false;
        };
        let Some((last, inner)) = self.after.split_last() else {
            return rest.is_empty();
        };
        for literal in inner {
            // a gap has at least one character
            let Some(least) = rest.chars().next().map(char::len_utf8) else {
                return false;
            };
            let Some(found) = rest[least..].find(literal.as_str()) else {
                return false;
            };
            take(&rest[..least + found]);
            rest = &rest[least + found + literal.len()..];
        }
        match rest.strip_suffix(last.as_str()) {
            Some(value) if !value.is_empty() => {
                take(value);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Values that stand in a path are found, and what is found makes up the path.
        #[test]
        fn what_stands_in_a_path_is_found(
            literals in proptest::collection::vec("[a-c/.-]{0,3}", 3),
            values in proptest::collection::vec("[a-cżé/ %.-]{1,4}", 2),
            match_slash: bool,
        ) {
            let text = format!("/{}{{x}}{}{{y}}{}", literals[0], literals[1], literals[2]);
            let pattern = Pattern::parse(&text, match_slash).unwrap();
            let build = |x: &str, y: &str| format!("/{}{x}{}{y}{}", literals[0], literals[1], literals[2]);
            let path = build(&values[0], &values[1]);
            let mut found = Vec::new();
            let is_match = pattern.captures(&path, &mut |value| found.push(value.to_owned()));
            prop_assert!(is_match || !match_slash && values.concat().contains('/'), "{text} {path}");
            if is_match {
                prop_assert_eq!(build(&found[0], &found[1]), path);
                prop_assert!(found.iter().all(|value| !value.is_empty() && (match_slash || !value.contains('/'))));
            }
        }
    }

    fn captures(pattern: &str, match_slash: bool, path: &str) -> Option<Vec<String>> {
        let mut values = Vec::new();
        let pattern = Pattern::parse(pattern, match_slash).unwrap();
        pattern
            .captures(path, &mut |value| values.push(value.to_owned()))
            .then_some(values)
    }

    #[test]
    fn placeholders_take_text() {
        for (pattern, match_slash, path, expected) in [
            ("/a/{x}", true, "/a/1", Some(vec!["1"])),
            ("/a/{x}", true, "/a/1/2", Some(vec!["1/2"])),
            ("/a/{x}", false, "/a/1/2", None),
            ("/a/{x}", true, "/a/", None),
            ("/a/{x}", false, "/a/", None),
            ("/a/{x}/b", true, "/a/1/b", Some(vec!["1"])),
            ("/a/{x}/b", true, "/a/1/2/b", Some(vec!["1/2"])),
            ("/a/{x}/b", true, "/a//b", None),
            ("/a/{x}/b", true, "/a/1/b/", None),
            ("/a/{x}/b", false, "/a/1/b", Some(vec!["1"])),
            ("/a/{x}/b", false, "/a/1/b/", None),
            ("/a/{x}/{y}", true, "/a/1/2/3", Some(vec!["1", "2/3"])),
            ("/a/{x}/{y}", false, "/a/1/2", Some(vec!["1", "2"])),
            ("/a/{x}{y}", true, "/a/123", Some(vec!["1", "23"])),
            ("/a/{x}-{y}.json", false, "/a/1-2-3.json", Some(vec!["1", "2-3"])),
            ("/{x}b{y}b", true, "/abab", Some(vec!["a", "a"])),
            ("/a.b/{x}", true, "/aXb/1", None),
            ("/a(b)/{x}", true, "/a(b)/@+,;*%!()", Some(vec!["@+,;*%!()"])),
            ("/{x}", true, "/żółw", Some(vec!["żółw"])),
        ] {
            let expected = expected.map(|values| values.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(
                captures(pattern, match_slash, path),
                expected,
                "{pattern} {match_slash} {path}"
            );
        }
    }

    #[test]
    fn other_paths_are_refused() {
        use PatternError::*;
        for (path, error) in [
            ("", NoSlash),
            ("a", NoSlash),
            ("/{", Unbalanced),
            ("/}", Unbalanced),
            ("/{a}}", Unbalanced),
            ("/{}", NoName),
            ("/{a}/{a}", Twice("a".to_owned())),
            ("/{a b}", Name("a b".to_owned())),
            ("/{a/b}", Name("a/b".to_owned())),
        ] {
            assert_eq!(Pattern::parse(path, true), Err(error.clone()), "{path}");
            assert_eq!(Pattern::parse(path, false), Err(error), "{path}");
        }
    }
}
