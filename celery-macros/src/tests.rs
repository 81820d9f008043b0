//! Snapshots of what the macros write, reviewed like code. `INSTA_UPDATE=always cargo test -p celery-macros` renews them.

use proc_macro2::TokenStream;
use quote::quote;

use crate::{Kind, attribute};

/// The expansion, as rustfmt would have it.
fn expanded(kind: Kind, args: TokenStream, item: TokenStream) -> String {
    let file = syn::parse2(attribute(kind, args, item)).expect("an expansion is a list of items");
    prettyplease::unparse(&file)
}

/// The messages of the mistakes in a task, one a line.
fn mistakes(kind: Kind, args: TokenStream, item: TokenStream) -> String {
    let file: syn::File =
        syn::parse2(attribute(kind, args, item)).expect("an expansion is a list of items");
    let messages = file.items.into_iter().filter_map(|item| match item {
        syn::Item::Macro(item)
            if item.mac.path.segments.last().is_some_and(|last| last.ident == "compile_error") =>
        {
            Some(item.mac.parse_body::<syn::LitStr>().expect("a message").value())
        }
        _ => None,
    });
    messages.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_blocking_task() {
    insta::assert_snapshot!(expanded(
        Kind::Shared,
        quote!(),
        quote! {
            /// Adds.
            pub fn add(x: i64, y: i64) -> i64 {
                x + y
            }
        },
    ));
}

#[test]
fn an_async_task_with_everything() {
    insta::assert_snapshot!(expanded(
        Kind::Shared,
        quote!(
            name = "emails.welcome",
            bind,
            autoretry_for = [SmtpError, std::io::Error],
            max_retries = 5,
            acks_late
        ),
        quote! {
            #[cfg(feature = "mail")]
            pub(crate) async fn send_welcome_email(
                task: &Context,
                #[state] db: PgPool,
                mut user_id: i64,
                #[redact] password: String,
                subject: Option<String>,
                #[default = 10] r#try: u32,
            ) -> Result<(), EmailError> {
                Ok(())
            }
        },
    ));
}

#[test]
fn a_task_of_one_app() {
    insta::assert_snapshot!(expanded(
        Kind::Task,
        quote!(app = crate::celery::app, crate = celery_core),
        quote!(
            fn tick() {}
        ),
    ));
}

#[test]
fn a_remote_task() {
    insta::assert_snapshot!(expanded(
        Kind::Remote,
        quote!(name = "proj.tasks.resize", queue = "images"),
        quote!(
            pub async fn resize(path: String, width: u32) -> String;
        ),
    ));
}

#[test]
fn a_task_with_mistakes_keeps_its_function_and_its_type() {
    insta::assert_snapshot!(expanded(
        Kind::Shared,
        quote!(name = "", misspelt = 1),
        quote!(
            pub fn greet(#[default = 1] times: u32, name: &str) -> String {
                name.repeat(times)
            }
        ),
    ));
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let found = mistakes(
        Kind::Shared,
        quote!(bind, bind, app = crate::app, name = 5, max_retries = 1, max_retries = 2),
        quote! {
            const unsafe extern "C" fn f<T>(
                (a, b): (i64, i64),
                #[default] x: &[u8],
                #[state] #[redact] #[default = 1] db: &Pool,
                y: Option<impl Into<String>>,
                z: Cow<'a, str>,
            ) -> io::Result where T: Copy {}
        },
    );
    insta::assert_snapshot!(found);
}

#[test]
fn an_attribute_that_cannot_be_read_is_a_mistake_of_its_own() {
    let task = || {
        quote!(
            fn f() {}
        )
    };
    assert_eq!(
        mistakes(Kind::Shared, quote!(autoretry_for = SmtpError), task()),
        "`autoretry_for` is a list of error types; write `autoretry_for = [SmtpError, IoError]`"
    );
    assert_eq!(
        mistakes(Kind::Shared, quote!(max_retries = ), task()),
        "unexpected end of input, expected an expression"
    );
    assert_eq!(
        mistakes(Kind::Task, quote!(app), task()),
        "`app` needs a path; write `app = crate::celery::app`\nwhich app is it a task of? Write `#[task(app = crate::celery::app)]`, or `#[shared_task]` for a task of any app"
    );
}

#[test]
fn a_context_is_asked_for_and_comes_first() {
    let check = |args, task, expected| assert_eq!(mistakes(Kind::Shared, args, task), expected);
    check(
        quote!(bind),
        quote!(
            fn f(task: &celery::Context) {}
        ),
        "",
    );
    check(
        quote!(bind = true),
        quote!(
            fn f(task: &Context, x: i64) {}
        ),
        "",
    );
    check(
        quote!(),
        quote!(
            fn f(task: &Context) {}
        ),
        "a task gets its context when it asks for it; add `bind` to the attribute",
    );
    check(
        quote!(bind),
        quote!(
            fn f(x: i64) {}
        ),
        "`bind` gives the task its context; make `task: &Context` its first parameter",
    );
    check(
        quote!(),
        quote!(
            fn f(x: i64, task: &Context) {}
        ),
        "the context is the first parameter of a task; move it there, and add `bind` to the attribute",
    );
}

#[test]
fn a_remote_task_has_nothing_of_its_worker() {
    let found = mistakes(
        Kind::Remote,
        quote!(bind),
        quote!(
            fn f(task: &Context, #[state] db: Pool, #[default = 1] x: u32) {}
        ),
    );
    insta::assert_snapshot!(found);
}

#[test]
fn a_name_of_any_shape_becomes_a_type() {
    for (function, expected) in [
        ("send_welcome_email", "SendWelcomeEmail"),
        ("r#loop", "Loop"),
        ("_1st", "_1st"),
        ("__", "__"),
        ("add2", "Add2"),
    ] {
        let function: syn::Ident = syn::parse_str(function).unwrap();
        let mut errors = crate::errors::Errors::default();
        let task = crate::task_fn::TaskFn::parse(quote!(fn #function() {}), &mut errors).unwrap();
        assert_eq!(task.type_name(), expected);
    }
}
