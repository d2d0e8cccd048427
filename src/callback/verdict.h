// What an answer or a failure means for a callback: delivered, to be tried again, or in vain. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "callback/sender.h"

namespace sterna::callback {

// 2xx delivered; 408, 425, 429, 5xx and what is no final status of HTTP: retry; the rest undeliverable.
Verdict verdict_for_status(unsigned status);

// 307 and 308: the same POST goes to another place.
bool is_followed_redirect(unsigned status);

// The result of a final answer that is not followed. `retry_after` counts only where the post is tried again.
PostResult result_for_answer(unsigned status, std::optional<Duration> retry_after);

// The result of an exchange that broke off before there was an answer. `curl_code` is a CURLcode, `curl_text`
// curl's own words for it.
PostResult result_for_failure(int curl_code, std::string_view curl_text);

// The receiver's answer began with a head of more than `limit_bytes`.
PostResult result_for_large_head(std::size_t limit_bytes);

// Sending again cannot help.
PostResult undeliverable(std::string detail);

// Nothing was sent.
PostResult not_attempted(std::string detail, Duration retry_after);
// Nothing was sent, because the target has not answered lately.
PostResult target_rests(std::string detail, Duration retry_after);

}  // namespace sterna::callback
