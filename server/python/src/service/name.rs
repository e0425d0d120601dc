//! How a service gets its name (service-api.md 1.1).

/// Name of a service: module part, dot, class part. `my_service` and `GetClientDetails` give `my-service.get-client-details`.
pub(crate) fn service_name(module: &str, class: &str) -> String {
    let mut name = String::with_capacity(module.len() + class.len() + 8);
    for (index, element) in module.split('.').enumerate() {
        if index > 0 {
            name.push('.');
        }
        name.push_str(&dashed(&element.replace('_', "-")));
    }
    name.push('.');
    // an underscore that stood in the class's name is kept, and takes the place of the dash behind it
    name.push_str(&dashed(class).replace("_-", "_"));
    name
}

/// Lower case, with a dash before each capital that begins a word: one that follows a lower-case letter, or one, not the first
/// character, that a lower-case letter follows. Digits never split.
fn dashed(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut dashed = String::with_capacity(text.len() + 8);
    for (index, &character) in characters.iter().enumerate() {
        if character.is_uppercase() && index > 0 {
            let after_lower = characters[index - 1].is_lowercase();
            let before_lower = characters.get(index + 1).is_some_and(|next| next.is_lowercase());
            if after_lower || before_lower {
                dashed.push('-');
            }
        }
        dashed.extend(character.to_lowercase());
    }
    match dashed.strip_prefix('-') {
        Some(rest) => rest.to_owned(),
        None => dashed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_services_and_clients_know_them() {
        for (module, class, name) in [
            ("my_service", "GetClientDetails", "my-service.get-client-details"),
            ("my_service", "HTTPGet", "my-service.http-get"),
            ("my_service", "XMLParser", "my-service.xml-parser"),
            ("my_service", "GetHTTPData", "my-service.get-http-data"),
            ("my_service", "My_Service", "my-service.my_service"),
            ("my_service", "Do_It", "my-service.do_it"),
            ("my_service", "Get2Things", "my-service.get2-things"),
            ("my_service", "GetUserV2", "my-service.get-user-v2"),
            ("my_service", "JSONToXML", "my-service.json-to-xml"),
            ("my_service", "SMSSender2FA", "my-service.sms-sender2fa"),
            ("my_service", "ABC", "my-service.abc"),
            ("My-Mod", "A", "my--mod.a"),
            ("crm.api.customer_v2", "Get", "crm.api.customer-v2.get"),
        ] {
            assert_eq!(service_name(module, class), name);
        }
    }
}
