//! What a command becomes: the function, and its registration.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{
    Attribute, Expr, ExprLit, GenericArgument, Ident, Lit, Meta, PathArguments, ReturnType, Type,
    ext::IdentExt, spanned::Spanned,
};

use super::{CommandFn, Kind, Parameter, Role};
use crate::task_fn::is_named;

pub(super) fn expand(command: &CommandFn) -> TokenStream {
    let CommandFn { kind, args, function, parameters } = command;
    let krate = &args.krate;
    let private = quote! { #krate::__private };
    let ident = &function.sig.ident;
    let name = args.name.as_ref().map_or_else(|| ident.unraw().to_string(), syn::LitStr::value);
    let make = match kind {
        Kind::Inspect => quote! { inspect },
        Kind::Control => quote! { control },
    };
    let help = args.help.as_ref().map_or_else(|| documentation(&function.attrs), |h| h.value());
    let alias = args.alias.as_ref().map(|alias| quote! { .alias(#alias) });
    let hidden = args.hidden.then(|| quote! { .hidden() });
    let arguments: Vec<_> = arguments(parameters).collect();
    let declared = arguments.iter().map(|(name, parameter, _)| {
        if is_optional(parameter) {
            quote! { #private::Parameter::optional(#name) }
        } else {
            quote! { #private::Parameter::required(#name) }
        }
    });
    let variadic = arguments
        .last()
        .filter(|(_, parameter, _)| is_named(&parameter.ty, "Vec"))
        .map(|(name, ..)| name.clone());
    let by_position = arguments.iter().filter(|(name, ..)| Some(name) != variadic.as_ref());
    let positions = by_position.map(|(name, parameter, _)| {
        let kind = argument_type(&parameter.ty);
        quote! { (#name, #private::ArgumentType::#kind) }
    });
    let signature = args
        .signature
        .as_ref()
        .map_or_else(|| shown(&arguments, variadic.as_ref()), |signature| Some(signature.value()));
    let signature = signature.map(|signature| quote! { .signature(#signature) });
    let variadic = variadic.as_ref().map(|name| quote! { .variadic(#name) });
    let run = run(command, &private);
    let cfgs = function.attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    quote! {
        #[allow(clippy::needless_pass_by_value)]
        #function
        #(#cfgs)*
        const _: () = {
            #private::inventory::submit! {
                #private::Command::#make(#name, #run)
                    .help(#help)
                    .parameters(&[#(#declared),*])
                    .args(&[#(#positions),*])
                    .strict()
                    #variadic #signature #alias #hidden
            }
        };
    }
}

/// The function on bound arguments, erased.
fn run(command: &CommandFn, private: &TokenStream) -> TokenStream {
    let function = &command.function;
    let panel = Ident::new("panel", Span::mixed_site());
    let bound = Ident::new("bound", Span::mixed_site());
    let bindings: Vec<_> = (0..command.parameters.len())
        .map(|index| format_ident!("arg{index}", span = Span::mixed_site()))
        .collect();
    let mut position = 0_usize;
    let takes = command.parameters.iter().zip(&bindings).map(|(parameter, binding)| {
        let ty = &parameter.ty;
        let Role::Argument { default } = &parameter.role else {
            return quote_spanned! {ty.span()=> let #binding = #panel.state::<#ty>()?; };
        };
        let index = position;
        position += 1;
        match default {
            Some(default) => quote_spanned! {ty.span()=>
                let #binding = #private::argument_or::<#ty>(&mut #bound, #index, || #default)?;
            },
            None => quote_spanned! {ty.span()=>
                let #binding = #private::argument::<#ty>(&mut #bound, #index)?;
            },
        }
    });
    let (ident, output) = (&function.sig.ident, &function.sig.output);
    let awaits = function.sig.asyncness.map(|_| quote! { .await });
    let call = quote! { #ident(#panel, #(#bindings),*) #awaits };
    let answer = match output {
        ReturnType::Type(_, ty) if is_named(ty, "Result") => {
            quote_spanned! {ty.span()=> #private::answered_if(#call) }
        }
        ReturnType::Type(_, ty) => quote_spanned! {ty.span()=> #private::answered(&#call) },
        ReturnType::Default => quote! { #private::answered(&#call) },
    };
    quote! {
        |#panel, mut #bound| ::std::boxed::Box::pin(async move {
            let _ = &mut #bound;
            #(#takes)*
            #answer
        })
    }
}

/// The parameters that a request gives, with their names and defaults.
fn arguments(
    parameters: &[Parameter],
) -> impl Iterator<Item = (String, &Parameter, Option<&Expr>)> {
    parameters.iter().filter_map(|parameter| match &parameter.role {
        Role::State => None,
        Role::Argument { default } => {
            Some((parameter.ident.unraw().to_string(), parameter, default.as_deref()))
        }
    })
}

fn is_optional(parameter: &Parameter) -> bool {
    let has_default = matches!(&parameter.role, Role::Argument { default: Some(_) });
    has_default || is_named(&parameter.ty, "Option")
}

/// What a word on the command line is for this parameter: only names are seen here, so what is not known is JSON.
fn argument_type(ty: &Type) -> Ident {
    const INTS: [&str; 12] =
        ["u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize"];
    let ty = inner(ty);
    let is = |names: &[&str]| names.iter().any(|name| is_named(ty, name));
    let kind = if is(&INTS) {
        "Int"
    } else if is(&["f32", "f64"]) {
        "Float"
    } else if is(&["bool"]) {
        "Bool"
    } else if is(&["String", "char"]) {
        "Text"
    } else {
        "Json"
    };
    Ident::new(kind, Span::call_site())
}

/// The `T` of an `Option<T>`, else the type itself.
fn inner(ty: &Type) -> &Type {
    if let Type::Path(path) = ty
        && is_named(ty, "Option")
        && let Some(last) = path.path.segments.last()
        && let PathArguments::AngleBracketed(generics) = &last.arguments
        && let Some(GenericArgument::Type(inner)) = generics.args.first()
    {
        return inner;
    }
    ty
}

/// How the command line shows the arguments: `<task> [n=1] [ids…]`.
fn shown(
    arguments: &[(String, &Parameter, Option<&Expr>)],
    variadic: Option<&String>,
) -> Option<String> {
    let shown = arguments.iter().map(|(name, parameter, default)| {
        if Some(name) == variadic {
            return format!("[{name} ...]");
        }
        match default {
            Some(Expr::Lit(ExprLit { lit, .. })) => format!("[{name}={}]", literal(lit)),
            _ if is_optional(parameter) => format!("[{name}]"),
            _ => format!("<{name}>"),
        }
    });
    let shown: Vec<_> = shown.collect();
    (!shown.is_empty()).then(|| shown.join(" "))
}

fn literal(lit: &Lit) -> String {
    match lit {
        Lit::Str(text) => text.value(),
        other => quote! { #other }.to_string(),
    }
}

/// The first line of the documentation.
fn documentation(attrs: &[Attribute]) -> String {
    let line = attrs.iter().find_map(|attr| match &attr.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    line.unwrap_or_default().trim().to_owned()
}
