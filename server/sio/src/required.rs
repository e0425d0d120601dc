//! Which required elements of a declaration a request has shown so far.

use busbar_model::sio::{Declaration, Element, ElementKind};

use crate::SioError;

/// Checks that the required input is among `names`, the names that a body has, or a parameter of the channel (`has_param`).
pub fn check_names<N: AsRef<str>>(
    declaration: Option<&Declaration>,
    names: impl Iterator<Item = N>,
    has_param: &dyn Fn(&str) -> bool,
) -> Result<(), SioError> {
    let mut required = Required::of(declaration);
    if required.is_empty() {
        return Ok(());
    }
    if !declaration.is_some_and(|declaration| declaration.use_channel_params_only) {
        names.for_each(|name| required.tick(name.as_ref()));
    }
    required.check(has_param)
}

/// Checks that no input is required, where a body of CSV has no rows: columns are not taken from elsewhere.
pub fn check_no_rows(declaration: Option<&Declaration>) -> Result<(), SioError> {
    match Required::of(declaration).elements.first() {
        None => Ok(()),
        Some(element) => Err(SioError::new(format!(
            "invalid CSV: there are no rows in the body, and `{}` is required",
            element.name
        ))),
    }
}

/// Ticks required elements off, by name.
pub(crate) struct Required<'a> {
    /// Required elements, sorted by name: the head of a declaration's input.
    elements: &'a [Element],
    /// One bit for each.
    seen: Vec<u64>,
    /// Of a model: the alphabetically first field that holds others, which whoever builds the model looks into.
    first_deep: Option<&'a str>,
    is_model: bool,
}

impl<'a> Required<'a> {
    pub(crate) fn of(declaration: Option<&'a Declaration>) -> Self {
        let input = declaration
            .and_then(|declaration| declaration.input.as_deref())
            .unwrap_or_default();
        let elements = &input[..input.partition_point(|element| element.required)];
        let is_model = declaration.is_some_and(|declaration| declaration.input_is_model);
        let is_deep = |element: &&Element| {
            is_model
                && matches!(
                    element.kind,
                    ElementKind::Dict | ElementKind::DictList | ElementKind::List
                )
        };
        Self {
            elements,
            seen: vec![0; elements.len().div_ceil(64)],
            first_deep: input.iter().filter(is_deep).map(|element| element.name.as_str()).min(),
            is_model,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Ticks one off, if it is one.
    pub(crate) fn tick(&mut self, name: &str) {
        if let Ok(index) = self
            .elements
            .binary_search_by(|element| element.name.as_str().cmp(name))
        {
            self.seen[index / 64] |= 1 << (index % 64);
        }
    }

    /// The alphabetically first one that is neither ticked off nor a parameter of the channel is an error. Of a model, unless a field
    /// before it may lack something inside: that would have to be told first.
    pub(crate) fn check(&self, has_param: &dyn Fn(&str) -> bool) -> Result<(), SioError> {
        for (index, element) in self.elements.iter().enumerate() {
            let seen = self.seen[index / 64] & (1 << (index % 64)) != 0;
            if seen || has_param(&element.name) {
                continue;
            }
            if !self.is_model {
                return Err(SioError::missing(&element.name));
            }
            return match self.first_deep {
                Some(deep) if deep < element.name.as_str() => Ok(()),
                _ => Err(SioError::missing(&format!("/{}", element.name))),
            };
        }
        Ok(())
    }
}
