//! The mail of the project.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::{
    process::Process,
    site::{Site, variable},
};

/// What Python's own reader of mail makes of a file. It fails at whatever is against the standard.
const READ: &str = "
import email, email.policy, json, sys
mail = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.strict)
print(json.dumps({
    'from': mail['From'].addresses[0].addr_spec, 'to': mail['To'].addresses[0].addr_spec,
    'subject': mail['Subject'], 'id': mail['Message-ID'], 'dated': mail['Date'].datetime is not None,
    'type': mail.get_content_type(), 'text': mail.get_content(),
    'defects': [str(defect) for value in mail.values() for defect in value.defects],
}))
";

#[test]
fn a_user_is_welcomed_by_one_mail_in_the_form_of_the_standard() {
    let site = Site::new(9);
    let _worker = site.worker(&[]);
    let call = ["call", "emails.tasks.send_welcome_email", "--args", "[7]", "--kwargs"];
    let call = [&call[..], &[r#"{"name": "Ada Ünlü"}"#]].concat();
    let id = site.run(&call).success();
    let path = site.result(id.trim_end());
    assert_eq!(path, site.folder.path().join("mail/welcome-7.eml").to_str().unwrap());

    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "a bare line feed");
    let mut python = Command::new(variable("CELERY_TEST_PYTHON"));
    let read = Process::start(python.args(["-c", READ, &path])).end().success();
    assert_eq!(
        serde_json::from_str::<Value>(&read).unwrap(),
        json!({
            "from": "hello@mysite.example", "to": "user7@mysite.example", "subject": "Welcome!",
            "id": "<welcome-7@mysite.example>", "dated": true, "type": "text/plain",
            "text": "Hello Ada Ünlü,\n\nthanks for signing up.\n", "defects": [],
        })
    );

    let again = site.run(&call).success();
    assert_eq!(site.result(again.trim_end()), path);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(fs::read_dir(site.folder.path().join("mail")).unwrap().count(), 1);
}
