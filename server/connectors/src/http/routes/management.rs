//! The doors of the management API (management.md 2): on a listener of administrators, and on that of clients if it is told to.

use http::Method;

use busbar_model::DataFormat;
use busbar_runtime::inbound::builtin;

use super::internal::{Builtin, BuiltinKind};

/// The doors.
pub(super) fn doors() -> Vec<Builtin<'static>> {
    let json = |name, path, service, security| {
        // the body or the path says which service is to be called: whoever runs the request looks at roles again
        door(name, path, service, security, (service, DataFormat::Json))
    };
    let deploy = |method| Builtin {
        method: Some(method),
        ..door(
            "admin.deploy",
            "/zato/deploy/{file_name}",
            builtin::DEPLOY,
            builtin::ADMIN_INVOKE,
            (builtin::UPLOAD, DataFormat::None),
        )
    };
    vec![
        json(
            "admin.json",
            "/zato/json/{service_name}",
            builtin::MANAGE,
            builtin::PUBAPI,
        ),
        door(
            "admin.soap",
            "/zato/soap",
            builtin::MANAGE_SOAP,
            builtin::PUBAPI,
            (builtin::MANAGE_SOAP, DataFormat::Xml),
        ),
        json(
            "admin.invoke.json",
            "/zato/admin/invoke",
            builtin::INVOKE,
            builtin::ADMIN_INVOKE,
        ),
        json(
            "admin.api.invoke",
            "/zato/api/invoke/{service_name}",
            builtin::MANAGE_INVOKER,
            builtin::PUBAPI,
        ),
        json(
            "zato.internal.invoke",
            "/zato/internal/invoke",
            builtin::INVOKE,
            builtin::INTERNAL_INVOKE,
        ),
        json("ide-deploy", "/ide-deploy", builtin::IDE_DEPLOY, builtin::IDE_PUBLISHER),
        // for whoever has these credentials: there is no service behind it that roles could allow
        Builtin::new(
            "admin.metrics",
            "/metrics",
            builtin::METRICS,
            Some(builtin::ADMIN_INVOKE),
        ),
        deploy(Method::PUT),
        deploy(Method::POST),
    ]
}

fn door<'b>(
    name: &'b str,
    path: &'b str,
    service: &'b str,
    security: &'b str,
    (guarded, format): (&'b str, DataFormat),
) -> Builtin<'b> {
    Builtin {
        kind: BuiltinKind::Management(guarded, format),
        ..Builtin::new(name, path, service, Some(security))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_the_names_that_the_dispatcher_reads() {
        for (service, param) in [
            (builtin::MANAGE, builtin::INVOKER_PARAM),
            (builtin::MANAGE_INVOKER, builtin::INVOKER_PARAM),
            (builtin::DEPLOY, builtin::DEPLOY_PARAM),
        ] {
            let door = doors().into_iter().find(|door| door.service == service).unwrap();
            assert!(door.path.ends_with(&format!("/{{{param}}}")), "{}", door.path);
        }
    }
}
