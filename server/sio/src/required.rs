//! Which required elements of a declaration a request has shown so far.

use busbar_model::sio::{Declaration, Element};

use crate::SioError;

/// Ticks required elements off, by name.
pub(crate) struct Required<'a> {
    /// Required elements, sorted by name: the head of a declaration's input.
    elements: &'a [Element],
    /// One bit for each.
    seen: Vec<u64>,
}

impl<'a> Required<'a> {
    pub(crate) fn of(declaration: Option<&'a Declaration>) -> Self {
        let input = declaration
            .and_then(|declaration| declaration.input.as_deref())
            .unwrap_or_default();
        let elements = &input[..input.partition_point(|element| element.required)];
        Self {
            elements,
            seen: vec![0; elements.len().div_ceil(64)],
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

    /// The alphabetically first one that is neither ticked off nor a parameter of the channel is an error.
    pub(crate) fn check(&self, has_param: &dyn Fn(&str) -> bool) -> Result<(), SioError> {
        for (index, element) in self.elements.iter().enumerate() {
            let seen = self.seen[index / 64] & (1 << (index % 64)) != 0;
            if !seen && !has_param(&element.name) {
                return Err(SioError::missing(&element.name));
            }
        }
        Ok(())
    }
}
