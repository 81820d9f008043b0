//! The rules for tasks. Each mistake is noted where it is, with what to do about it.

use quote::ToTokens;
use syn::{
    Lifetime, PathArguments, ReturnType, Type, TypeImplTrait, TypeReference, visit_mut::VisitMut,
};

use crate::{
    Kind,
    args::{Args, attribute},
    errors::Errors,
    task_fn::{Output, Role, TaskFn, is_context, is_named},
};

/// Notes all mistakes in the task.
pub(crate) fn check(kind: Kind, args: &Args, task: &TaskFn, errors: &mut Errors) {
    qualifiers(task, errors);
    parameters(kind, args, task, errors);
    output(task, errors);
    app(kind, args, errors);
    match kind {
        Kind::Shared | Kind::Task => body(kind, task, errors),
        Kind::Remote => remote(args, task, errors),
    }
}

fn qualifiers(task: &TaskFn, errors: &mut Errors) {
    let sig = &task.sig;
    if !sig.generics.params.is_empty() {
        errors.at(&sig.generics, "a task has no generic parameters, since its name stands for one function; write the types out");
    }
    if let Some(clause) = &sig.generics.where_clause {
        errors.at(clause, "a task has no `where` clause; write the types out");
    }
    if let Some(word) = &sig.constness {
        errors.at(word, "a task is run by a worker, never by the compiler; remove `const`");
    }
    if let Some(word) = &sig.unsafety {
        errors.at(word, "a task is called by the worker, which cannot keep the promises of an `unsafe fn`; remove `unsafe`");
    }
    if let Some(abi) = &sig.abi {
        errors.at(abi, "a task is a Rust function; remove `extern`");
    }
    if let Some(dots) = &sig.variadic {
        errors.at(dots, "a task has a fixed list of parameters; take a `Vec` instead");
    }
}

fn parameters(kind: Kind, args: &Args, task: &TaskFn, errors: &mut Errors) {
    let first_is_context =
        matches!(task.parameters.first(), Some(first) if matches!(first.role, Role::Context));
    if let Some(bind) =
        args.bind.as_ref().filter(|_| !first_is_context && !matches!(kind, Kind::Remote))
    {
        errors.at(
            bind,
            "`bind` gives the task its context; make `task: &Context` its first parameter",
        );
    }
    let mut optional_before = None;
    for parameter in &task.parameters {
        let ident = &parameter.ident;
        match &parameter.role {
            Role::Context if matches!(kind, Kind::Remote) => {
                errors.at(&parameter.ty, "a remote task has no context here; remove the parameter");
            }
            Role::Context if args.bind.is_none() => {
                errors.at(
                    &parameter.ty,
                    "a task gets its context when it asks for it; add `bind` to the attribute",
                );
            }
            Role::Context => {}
            Role::State(_) => {
                owned(&parameter.ty, "the state of the app is cloned for each run", errors);
            }
            Role::Argument { .. } if is_context(&parameter.ty) => {
                errors.at(&parameter.ty, "the context is the first parameter of a task; move it there, and add `bind` to the attribute");
            }
            Role::Argument { optional, .. } => {
                owned(
                    &parameter.ty,
                    "an argument is read from a message, so there is nothing to borrow it from",
                    errors,
                );
                match optional_before {
                    Some(before) if !optional => errors.at(
                        ident,
                        format!("`{ident}` must be given but follows `{before}`, which may be left out; move it before, or give it a `#[default = …]`"),
                    ),
                    _ => {}
                }
                if *optional {
                    optional_before = Some(ident);
                }
            }
        }
    }
}

fn output(task: &TaskFn, errors: &mut Errors) {
    let ReturnType::Type(_, written) = &task.sig.output else { return };
    if let Output::Value(Type::Path(path)) = &task.output
        && is_named(written, "Result")
        && path
            .path
            .segments
            .last()
            .is_some_and(|last| matches!(last.arguments, PathArguments::None))
    {
        errors.at(
            written,
            "what the task returns is hidden in an alias; write `Result<T, E>` in full",
        );
    } else {
        owned(task.output.value(), "a result outlives the task", errors);
    }
}

fn app(kind: Kind, args: &Args, errors: &mut Errors) {
    match (kind, &args.app) {
        (Kind::Task, None) => errors.push(syn::Error::new(
            attribute(),
            "which app is it a task of? Write `#[task(app = crate::celery::app)]`, or `#[shared_task]` for a task of any app",
        )),
        (Kind::Shared, Some((key, _))) => {
            errors.at(key, "a shared task is a task of any app; use `#[task(app = …)]`, or remove `app`");
        }
        _ => {}
    }
}

fn body(kind: Kind, task: &TaskFn, errors: &mut Errors) {
    if task.body.is_none() {
        let attribute = if let Kind::Task = kind { "task" } else { "shared_task" };
        errors.at(
            &task.sig,
            format!("`#[{attribute}]` needs a body to run; for a task that runs elsewhere use `#[remote_task(name = \"…\")]`"),
        );
    }
}

fn remote(args: &Args, task: &TaskFn, errors: &mut Errors) {
    if let Some(body) = &task.body {
        errors.at(body, "a remote task runs elsewhere and has no body; put `;` in its place, or use `#[shared_task]`");
    }
    if args.name.is_none() {
        errors.push(syn::Error::new(
            attribute(),
            "a remote task needs the name that its worker knows; write `#[remote_task(name = \"proj.tasks.resize\")]`",
        ));
    }
    if let Some(bind) = &args.bind {
        errors.at(bind, "a remote task has no context here; remove `bind`");
    }
    for parameter in &task.parameters {
        match &parameter.role {
            Role::State(attr) => {
                errors.at(attr, "the state of a remote task is its worker's; remove the parameter");
            }
            Role::Argument { default: Some(default), .. } => {
                errors.at(
                    default,
                    "the defaults of a remote task are its worker's; take an `Option` instead",
                );
            }
            Role::Argument { .. } | Role::Context => {}
        }
    }
}

/// Whether the type owns what it holds, and has a name.
pub(crate) fn is_owned(ty: &Type) -> bool {
    let mut errors = Errors::default();
    owned(ty, "", &mut errors);
    errors.into_error().is_none()
}

/// Notes what is borrowed in the type, or has no name.
pub(crate) fn owned(ty: &Type, why: &str, errors: &mut Errors) {
    struct Search<'a> {
        why: &'a str,
        errors: &'a mut Errors,
    }

    impl VisitMut for Search<'_> {
        fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
            let (why, owned) = (self.why, owned_form(&reference.elem));
            self.errors.at(reference, format!("{why}; take `{owned}`"));
        }

        fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
            if lifetime.ident != "static" {
                let why = self.why;
                self.errors.at(lifetime, format!("{why}; take a type that owns what it holds"));
            }
        }

        fn visit_type_impl_trait_mut(&mut self, found: &mut TypeImplTrait) {
            self.errors
                .at(found, "what crosses the wire has one type; write it out in place of `impl …`");
        }
    }

    // The search is one that could change what it finds, so it gets a copy.
    Search { why, errors }.visit_type_mut(&mut ty.clone());
}

fn owned_form(borrowed: &Type) -> String {
    match borrowed {
        Type::Slice(slice) => format!("Vec<{}>", compact(&slice.elem)),
        ty if is_named(ty, "str") => "String".to_owned(),
        ty if is_named(ty, "Path") => "PathBuf".to_owned(),
        ty => compact(ty),
    }
}

/// The type without the spaces that tokens are printed with.
fn compact(ty: &Type) -> String {
    ty.to_token_stream()
        .to_string()
        .replace(" :: ", "::")
        .replace(" < ", "<")
        .replace(" >", ">")
        .replace(" ,", ",")
}
