//! `evaluateOnExit`: whether a failed attempt is followed by another.

use tidegate_catalog::{JobAttempt, Retry, RetryRule};

/// Whether there is another attempt after the one that ended so, as the `made`-th.
pub fn again(retry: &Retry, made: usize, ended: &JobAttempt) -> bool {
    let rule = retry.rules.iter().find(|rule| matches(rule, ended));
    made < retry.attempts as usize && rule.is_none_or(|rule| rule.retry)
}

fn matches(rule: &RetryRule, ended: &JobAttempt) -> bool {
    let code = ended.exit_code.map(|code| code.to_string()).unwrap_or_default();
    let pairs = [
        (&rule.on_status_reason, ended.status_reason.as_str()),
        (&rule.on_reason, ended.reason.as_str()),
        (&rule.on_exit_code, code.as_str()),
    ];
    pairs.iter().all(|(pattern, text)| pattern.as_ref().is_none_or(|pattern| glob(pattern, text)))
}

/// AWS's patterns: a `*` stands at the end or nowhere.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => text == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(status: Option<&str>, reason: Option<&str>, code: Option<&str>, retry: bool) -> RetryRule {
        let text = |given: Option<&str>| given.map(str::to_string);
        RetryRule { on_status_reason: text(status), on_reason: text(reason), on_exit_code: text(code), retry }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let ended = JobAttempt {
            exit_code: Some(137),
            reason: "OutOfMemoryError: Container killed due to memory usage".into(),
            status_reason: "Essential container in task exited".into(),
            ..JobAttempt::default()
        };
        let (retry, exit) = (true, false);
        let cases: &[(u32, usize, Vec<RetryRule>, bool)] = &[
            (1, 1, vec![], false),
            (2, 1, vec![], true),
            (2, 2, vec![], false),
            (3, 1, vec![rule(None, None, Some("137"), exit)], false),
            (3, 1, vec![rule(None, None, Some("1*"), exit)], false),
            (3, 1, vec![rule(None, None, Some("1"), exit)], true),
            (3, 1, vec![rule(None, Some("OutOfMemory*"), None, retry), rule(None, Some("*"), None, exit)], true),
            (3, 1, vec![rule(Some("Host EC2*"), None, None, retry), rule(None, Some("*"), None, exit)], false),
            // All that a rule names must match.
            (3, 1, vec![rule(Some("Essential*"), None, Some("1"), exit)], true),
            (3, 1, vec![rule(Some("Essential*"), None, Some("137"), exit)], false),
            (3, 3, vec![rule(None, Some("*"), None, retry)], false),
        ];
        for (attempts, made, rules, expected) in cases {
            let retry = Retry { attempts: *attempts, rules: rules.clone() };
            assert_eq!(again(&retry, *made, &ended), *expected, "{retry:?} after {made}");
        }
    }
}
