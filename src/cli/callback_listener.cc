#include "cli/callback_listener.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/printable.h"
#include "callback/signature.h"
#include "cli/api_client.h"

namespace sterna::cli {
namespace {

constexpr std::uint64_t kMaxBodyBytes = 64U << 20;  // the signature needs the whole of it at once
constexpr std::size_t kMaxShownBody = 1024;

std::string_view or_dash(std::string_view text) {
  return text.empty() ? "-" : text;
}

// Whether a terminal shows it as it is: no control characters but those of plain text.
bool is_text(std::string_view body) {
  return std::ranges::none_of(
      body, [](char c) { return (c >= 0 && c < ' ' && c != '\t' && c != '\n' && c != '\r') || c == 0x7f; });
}

std::string describe_signature(const ReceivedCallback& callback) {
  switch (callback.signature) {
    case SignatureCheck::kHolds:
      return "signature holds";
    case SignatureCheck::kFails:
      return "SIGNATURE FAILS: " + callback.reason;
    case SignatureCheck::kNone:
      break;
  }
  return "signature not checked";
}

const char* word_of(SignatureCheck check) {
  switch (check) {
    case SignatureCheck::kHolds:
      return "holds";
    case SignatureCheck::kFails:
      return "fails";
    case SignatureCheck::kNone:
      break;
  }
  return "not_checked";
}

std::string describe_body(const ReceivedCallback& callback) {
  if (callback.bytes == 0) return "";
  if (!is_text(callback.body)) return "  (binary)\n";
  const std::string_view shown = std::string_view(callback.body).substr(0, kMaxShownBody);
  std::string out(shown);
  if (!out.ends_with('\n')) out += '\n';
  if (callback.bytes > shown.size()) out += fmt::format("  ({} bytes more)\n", callback.bytes - shown.size());
  return out;
}

api::OrderedJson or_null(std::string_view text) {
  return text.empty() ? api::OrderedJson() : api::OrderedJson(text);
}

}  // namespace

std::string_view ReceivedCallback::find(std::string_view name) const {
  const auto found = std::ranges::find_if(
      headers, [&](const auto& header) { return net::equal_ignoring_case(header.first, name); });
  return found != headers.end() ? std::string_view(found->second) : std::string_view();
}

std::string describe(const ReceivedCallback& callback) {
  return printable(fmt::format("{} {} {} {} {} status {}, attempt {}, {}, {} bytes, {}\n{}",
                               format_rfc3339(callback.at), callback.method, callback.target,
                               or_dash(callback.find("x-function-name")), or_dash(callback.find("x-call-id")),
                               or_dash(callback.find("x-function-status")),
                               or_dash(callback.find("x-attempt")), or_dash(callback.find("content-type")),
                               callback.bytes, describe_signature(callback), describe_body(callback)));
}

api::OrderedJson to_json(const ReceivedCallback& callback) {
  api::OrderedJson headers = api::OrderedJson::array();
  for (const auto& [name, value] : callback.headers) headers.push_back({name, value});
  return {{"time", format_rfc3339(callback.at)},
          {"method", callback.method},
          {"target", callback.target},
          {"space", or_null(callback.find("x-function-space"))},
          {"function", or_null(callback.find("x-function-name"))},
          {"call_id", or_null(callback.find("x-call-id"))},
          {"status", or_null(callback.find("x-function-status"))},
          {"attempt", or_null(callback.find("x-attempt"))},
          {"content_type", or_null(callback.find("content-type"))},
          {"signature", word_of(callback.signature)},
          {"signature_reason", or_null(callback.reason)},
          {"headers", std::move(headers)},
          {"bytes", callback.bytes},
          {"body", is_text(callback.body) ? api::OrderedJson(callback.body) : api::OrderedJson()},
          {"body_is_whole", callback.bytes == callback.body.size()}};
}

Result<std::unique_ptr<CallbackListener>> CallbackListener::open(ListenSettings settings, Sink sink) {
  for (const auto& secret : settings.secrets) {
    if (auto valid = callback::sign({&secret, 1}, "", 0, ""); !valid) return bad_usage(valid.error().detail);
  }
  auto listener = std::make_unique<CallbackListener>(std::move(settings), std::move(sink));
  auto server = net::HttpServer::listen(listener->loop_, "127.0.0.1", listener->settings_.port, *listener, {},
                                        listener->budget_);
  if (!server) return std::unexpected(server.error());
  listener->server_ = std::move(*server);
  return listener;
}

CallbackListener::CallbackListener(ListenSettings settings, Sink sink)
    : settings_(std::move(settings)), sink_(std::move(sink)) {}

bool CallbackListener::run() {
  loop_.run();
  return all_hold_;
}

std::uint64_t CallbackListener::on_head(net::HttpConnection&) {
  return kMaxBodyBytes;
}

void CallbackListener::on_request(net::HttpConnection& connection) {
  const net::HttpRequest& request = connection.request();
  ReceivedCallback callback;
  callback.at = clock_.wall();
  callback.method = request.method;
  callback.target = request.target;
  for (const auto& header : request.headers) callback.headers.emplace_back(header.name, header.value);
  callback.bytes = connection.body().size();
  std::string body;
  while (body.size() < callback.bytes) {
    if (auto read = connection.body().read(body.size(), kMaxBodyBytes, body); !read || *read == 0) break;
  }
  if (body.size() < callback.bytes) return connection.abort();  // its file cannot be read back
  check_signature(callback, body);
  body.resize(std::min(body.size(), kMaxKeptBody));
  callback.body = std::move(body);
  connection.begin(settings_.status);
  connection.send("");
  all_hold_ = all_hold_ && callback.signature != SignatureCheck::kFails;
  sink_(callback);
  if (++received_ == settings_.count) loop_.stop();  // when this turn, and with it the answer, is over
}

void CallbackListener::on_refused(net::HttpConnection& connection, unsigned status, const Error& error) {
  connection.begin(status);
  connection.header("Content-Type", "text/plain");
  connection.send(error.reason);
}

void CallbackListener::check_signature(ReceivedCallback& callback, std::string_view body) const {
  const callback::SignatureHeaders headers{.webhook_id = callback.find("webhook-id"),
                                           .webhook_timestamp = callback.find("webhook-timestamp"),
                                           .webhook_signature = callback.find("webhook-signature")};
  for (const auto& secret : settings_.secrets) {
    const auto verified = callback::verify(secret, headers, body, callback.at);
    if (verified) {
      callback.signature = SignatureCheck::kHolds;
      callback.reason.clear();
      return;
    }
    callback.signature = SignatureCheck::kFails;
    callback.reason = verified.error().reason;
  }
}

}  // namespace sterna::cli
