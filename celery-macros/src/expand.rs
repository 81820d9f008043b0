//! What a task becomes: the function, a type to call it by, and its registration.
//!
//! Everything that is written here speaks to `__private` alone, so that the crates can change behind it. What users
//! wrote keeps its place, so that the errors of rustc point there; local names are hygienic, so that none of theirs
//! can be meant by mistake.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Attribute, Ident, ReturnType, ext::IdentExt, spanned::Spanned};

use crate::{
    Kind,
    args::{Args, OptionArg, OptionValue, flag},
    check::is_owned,
    task_fn::{Output, Parameter, Role, TaskFn},
};

/// The whole expansion of a task without mistakes.
pub(crate) fn expand(kind: Kind, args: &Args, task: &TaskFn) -> TokenStream {
    let (function, task_type, cfgs) = (function(task), task_type(task), cfgs(task));
    let (calling, task_impl) = (calling(args, task, Calls::Task), task_impl(args, task));
    let registration = match kind {
        Kind::Shared | Kind::Task => registration(args, task),
        Kind::Remote => TokenStream::new(),
    };
    quote! {
        #function
        #task_type
        #(#cfgs)*
        const _: () = {
            #task_impl
            #calling
            #registration
        };
    }
}

/// What stands in for a task with mistakes, so that they are all that is reported: the function, and as much of the
/// type as its uses need.
pub(crate) fn fallback(args: &Args, task: &TaskFn) -> TokenStream {
    let function = function(task);
    if task.sig.receiver().is_some() {
        // In an `impl`, where no type can be.
        return function;
    }
    let task_type = task_type(task);
    if !task.complete || !task.sig.generics.params.is_empty() || !is_owned(task.output.value()) {
        return quote! { #function #task_type };
    }
    let plain =
        Args { name: None, bind: None, app: None, krate: args.krate.clone(), options: Vec::new() };
    let (task_impl, calling) = (task_impl(&plain, task), calling(&plain, task, Calls::Uses));
    quote! { #function #task_type const _: () = { #task_impl #calling }; }
}

/// What the calling half of a task is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Calls {
    /// To be run.
    Task,
    /// To keep the uses of a task with mistakes free of errors that follow.
    Uses,
}

/// The function as it was. That its arguments are its own is not its choice.
fn function(task: &TaskFn) -> TokenStream {
    let TaskFn { attrs, vis, sig, body, .. } = task;
    let written = |body| {
        quote! {
            #[allow(clippy::needless_pass_by_value)]
            #(#attrs)* #vis #sig #body
        }
    };
    body.as_ref().map_or_else(TokenStream::new, written)
}

/// The type, with the documentation of the function.
fn task_type(task: &TaskFn) -> TokenStream {
    let (name, vis, cfgs) = (task.type_name(), &task.vis, cfgs(task));
    let docs: Vec<_> = task.attrs.iter().filter(|attr| attr.path().is_ident("doc")).collect();
    let gap = (!docs.is_empty()).then(|| quote! { #[doc = ""] });
    let line = format!(
        "The task `{0}`: `{name}::delay(…)` calls it, `{name}::s(…)` is its signature.",
        task.name()
    );
    quote! {
        #(#cfgs)*
        #(#docs)*
        #gap
        #[doc = #line]
        #[derive(::core::fmt::Debug)]
        #vis struct #name;
    }
}

fn task_impl(args: &Args, task: &TaskFn) -> TokenStream {
    let (name, private) = (task.type_name(), private(args));
    let output = task.output.value();
    let task_name = match &args.name {
        Some(name) => name.to_token_stream(),
        None => {
            let function = task.name();
            quote! { #private::task_name!(#function) }
        }
    };
    let options = args.options.iter().map(|option| set_option(&private, option));
    let parameters = task.arguments().map(|parameter| {
        let name = parameter.ident.unraw().to_string();
        let (kind, redacted) = match parameter.role {
            Role::Argument { optional, redacted, .. } => {
                (if optional { quote!(optional) } else { quote!(required) }, redacted)
            }
            Role::Context | Role::State(_) => (quote!(required), false),
        };
        let redacted = redacted.then(|| quote! { .redacted() });
        quote! { #private::Parameter::#kind(#name) #redacted }
    });
    let app = args.app.as_ref().map(|(_, app)| {
        quote! {
            fn app() -> ::core::option::Option<#private::Celery> {
                ::core::option::Option::Some(#app())
            }
        }
    });
    quote! {
        impl #private::Task for #name {
            const NAME: &'static str = #task_name;
            const OPTIONS: #private::Options = #private::Options::new() #(#options)*;
            const PARAMETERS: &'static [#private::Parameter] = &[#(#parameters),*];
            type Output = #output;
            #app
        }
    }
}

/// An option as a call on `Options`, at the place of the user's word.
fn set_option(private: &TokenStream, option: &OptionArg) -> TokenStream {
    let key = &option.key;
    let value = match &option.value {
        OptionValue::Flag => flag(key).into_token_stream(),
        OptionValue::Expr(value) => value.into_token_stream(),
        OptionValue::ErrorTypes(types) => {
            let types = types
                .iter()
                .map(|ty| quote_spanned! {ty.span()=> #private::ErrorType::of::<#ty>() });
            quote! { const { &[#(#types),*] } }
        }
    };
    quote! { .#key(#value) }
}

/// `s`, `si`, `partial`, `delay`, and `map`, `starmap` and `chunks`.
fn calling(args: &Args, task: &TaskFn, calls: Calls) -> TokenStream {
    let (name, private) = (task.type_name(), private(args));
    let output = task.output.value();
    let (names, types): (Vec<_>, Vec<_>) =
        task.arguments().map(|parameter| (&parameter.ident, &parameter.ty)).unzip();
    let pushes: Vec<_> = task
        .arguments()
        .map(|Parameter { ident, ty, .. }| match calls {
            Calls::Task => quote_spanned! {ty.span()=> .push(&#ident) },
            // It may be the mistake that the argument cannot be sent.
            Calls::Uses => TokenStream::new(),
        })
        .collect();
    let first = types.split_first().filter(|(first, _)| calls == Calls::Task || is_owned(first));
    let partial = first.map(|(first, types)| {
        let (names, pushes) = (&names[1..], &pushes[1..]);
        quote! {
            /// The signature with all arguments but the first, which is the result of the task before it.
            pub fn partial(#(#names: #types),*) -> #private::Signature<#private::Takes<#first>, #output> {
                #private::Signature::for_task::<Self>(#private::Arguments::new() #(#pushes)*)
            }
        }
    });
    let errback = (types.len() >= 3).then(|| {
        let (names, types, pushes) = (&names[3..], &types[3..], &pushes[3..]);
        quote! {
            /// The signature as an error callback that is given the request of the task that failed, the exception, and the
            /// traceback, in place of the first three arguments.
            pub fn errback(#(#names: #types),*) -> #private::Signature<#private::TakesFailure, #output> {
                #private::Signature::for_task::<Self>(#private::Arguments::new() #(#pushes)*)
            }
        }
    });
    let owned = calls == Calls::Task || types.iter().all(|ty| is_owned(ty));
    // `celery.map` gives one argument, which must be all that is needed.
    let of_one = task
        .arguments()
        .skip(1)
        .all(|parameter| matches!(parameter.role, Role::Argument { optional: true, .. }));
    let map = first.filter(|_| of_one).map(|(first, _)| {
        let (argument, push) = (&names[0], &pushes[0]);
        quote! {
            /// One task that calls this one for each argument, in order, and returns the list of what it returned.
            pub fn map(
                it: impl ::core::iter::IntoIterator<Item = #first>,
            ) -> #private::Signature<#private::Nothing, ::std::vec::Vec<#output>> {
                #private::map::<Self>(it.into_iter().map(|#argument| #private::Arguments::new() #push))
            }
        }
    });
    let starmap = first.filter(|_| owned).map(|_| {
        quote! {
            /// One task that calls this one for each tuple of arguments, in order, and returns the list of what it returned.
            pub fn starmap(
                it: impl ::core::iter::IntoIterator<Item = (#(#types,)*)>,
            ) -> #private::Signature<#private::Nothing, ::std::vec::Vec<#output>> {
                #private::starmap::<Self>(it.into_iter().map(|(#(#names,)*)| #private::Arguments::new() #(#pushes)*))
            }

            /// A group of tasks which call this one for up to `n` tuples of arguments each, and return the list of what it
            /// returned.
            pub fn chunks(
                it: impl ::core::iter::IntoIterator<Item = (#(#types,)*)>,
                n: usize,
            ) -> #private::Group<#private::Nothing, ::std::vec::Vec<#output>> {
                #private::chunks::<Self>(it.into_iter().map(|(#(#names,)*)| #private::Arguments::new() #(#pushes)*), n)
            }
        }
    });
    quote! {
        #[allow(dead_code, unused_variables, clippy::needless_pass_by_value, clippy::too_many_arguments)]
        impl #name {
            /// The signature with these arguments.
            pub fn s(#(#names: #types),*) -> #private::Signature<#private::Nothing, #output> {
                #private::Signature::for_task::<Self>(#private::Arguments::new() #(#pushes)*)
            }

            /// The signature with these arguments, which takes no result of the task before it.
            pub fn si(#(#names: #types),*) -> #private::Signature<#private::Nothing, #output> {
                Self::s(#(#names),*).immutable()
            }

            #partial
            #errback
            #map
            #starmap

            /// Sends a message that calls the task with these arguments.
            ///
            /// # Errors
            /// When there is no app to send it by, the arguments cannot be serialized, or the broker does not take it.
            pub fn delay(#(#names: #types),*) -> impl ::core::future::Future<
                Output = ::core::result::Result<#private::AsyncResult<#output>, #private::Error>,
            > + ::core::marker::Send {
                Self::s(#(#names),*).apply_async()
            }
        }
    }
}

/// The registration, with the function erased.
fn registration(args: &Args, task: &TaskFn) -> TokenStream {
    let (name, private) = (task.type_name(), private(args));
    let context = Ident::new("context", Span::mixed_site());
    let bound = Ident::new("bound", Span::mixed_site());
    let bindings: Vec<_> = (0..task.parameters.len())
        .map(|index| format_ident!("arg{index}", span = Span::mixed_site()))
        .collect();
    let mut position = 0_usize;
    let takes = task.parameters.iter().zip(&bindings).map(|(parameter, binding)| {
        let ty = &parameter.ty;
        match &parameter.role {
            Role::Context => quote! { let #binding = &#context; },
            Role::State(_) => quote_spanned! {ty.span()=> let #binding = #context.state::<#ty>()?; },
            Role::Argument { default, .. } => {
                let index = position;
                position += 1;
                match default {
                    Some(default) => quote_spanned! {ty.span()=>
                        let #binding = #private::take_or::<#ty>(&mut #bound, #index, || #default)?;
                    },
                    None => quote_spanned! {ty.span()=> let #binding = #private::take::<#ty>(&mut #bound, #index)?; },
                }
            }
        }
    });
    let (function, place) = (&task.sig.ident, place(task));
    let call = quote_spanned! {place=> #function(#(#bindings),*) };
    let private_there = at(place, &private);
    let run = |call: TokenStream| match &task.output {
        Output::Value(_) => quote_spanned! {place=> #private_there::returned(&#call) },
        Output::Fallible(_) => quote_spanned! {place=>
            match #call {
                ::core::result::Result::Ok(value) => #private_there::returned(&value),
                ::core::result::Result::Err(error) => ::core::result::Result::Err(#private_there::failed(error)),
            }
        },
    };
    let takes = quote! { #(#takes)* };
    let states =
        task.parameters.iter().filter(|parameter| matches!(parameter.role, Role::State(_)));
    let states = states
        .map(|Parameter { ty, .. }| quote_spanned! {ty.span()=> #private::StateType::of::<#ty>() });
    // A task without parameters that are read has no use for what it is given.
    let unused = quote! { let _ = (&#context, &mut #bound); };
    let body = if task.sig.asyncness.is_some() {
        let run = run(quote_spanned! {place=> #call.await });
        // A future that cannot leave its thread is the function's fault.
        let future = quote_spanned! {function.span()=> ::std::boxed::Box::pin(async move { #unused #takes #run }) };
        quote! { Async(|#context, mut #bound| #future) }
    } else {
        let run = run(call);
        quote! { Blocking(|#context, mut #bound| { #unused #takes #run }) }
    };
    let app = match &args.app {
        Some((_, app)) => quote! { ::core::option::Option::Some(|| #private::app_id(&#app())) },
        None => quote! { ::core::option::Option::None },
    };
    let alias = match &task.output {
        Output::Value(ty) => quote_spanned! {place=>
            const _: () = {
                use #private::NoResult as _;
                #private_there::in_full(#private_there::Returns::<#ty>::KIND)
            };
        },
        Output::Fallible(_) => TokenStream::new(),
    };
    quote! {
        impl #name {
            const REGISTRATION: #private::Registration = #private::Registration {
                name: <Self as #private::Task>::NAME,
                module: ::core::module_path!(),
                options: <Self as #private::Task>::OPTIONS,
                parameters: <Self as #private::Task>::PARAMETERS,
                states: &[#(#states),*],
                body: #private::Body::#body,
                app: #app,
            };
        }
        #private::inventory::submit! { #name::REGISTRATION }
        #alias
    }
}

/// Where the errors of a task arise, and where rustc complains of what it returns.
fn place(task: &TaskFn) -> Span {
    match &task.sig.output {
        ReturnType::Default => task.sig.ident.span(),
        ReturnType::Type(_, ty) => ty.span(),
    }
}

/// The path at that place: a call is where its first token is, and so are the errors of it.
fn at(place: Span, path: &TokenStream) -> TokenStream {
    let moved = |mut token: TokenTree| {
        token.set_span(place);
        token
    };
    path.clone().into_iter().map(moved).collect()
}

fn private(args: &Args) -> TokenStream {
    let krate = &args.krate;
    quote! { #krate::__private }
}

/// The conditions under which the function is compiled: what stands for it shares them.
fn cfgs(task: &TaskFn) -> Vec<&Attribute> {
    task.attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect()
}
