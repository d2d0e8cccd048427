#include "callback/header_lines.h"

#include <algorithm>
#include <array>

namespace sterna::callback {
namespace {

constexpr std::array<std::string_view, 16> kSendersOwn{"connection",
                                                       "content-length",
                                                       "expect",
                                                       "host",
                                                       "http2-settings",
                                                       "keep-alive",
                                                       "proxy-authenticate",
                                                       "proxy-authorization",
                                                       "proxy-connection",
                                                       "te",
                                                       "trailer",
                                                       "transfer-encoding",
                                                       "upgrade",
                                                       "webhook-id",
                                                       "webhook-timestamp",
                                                       "webhook-signature"};

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

bool is_token_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         std::string_view("!#$%&'*+-.^_`|~").contains(c);
}

bool is_token(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, is_token_char);
}

bool is_value(std::string_view value) {
  return value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

}  // namespace

void HeaderLines::clear() {
  text_.clear();
  starts_.clear();
  start_ = 0;
}

void HeaderLines::add(std::string_view name, std::string_view value) {
  if (!is_token(name) || !is_value(value)) return;
  text_.append(name);
  if (value.find_first_not_of(" \t") == std::string_view::npos) {
    text_ += ';';  // curl's way to say: the name with an empty value
  } else {
    text_.append(": ").append(value);
  }
  end_line();
}

void HeaderLines::suppress(std::string_view name) {
  text_.append(name).append(":");
  end_line();
}

void HeaderLines::end_line() {
  text_ += '\0';
  starts_.push_back(start_);
  start_ = text_.size();
}

curl_slist* HeaderLines::list() {
  nodes_.resize(starts_.size());
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    nodes_[i] = {.data = text_.data() + starts_[i], .next = i + 1 < nodes_.size() ? &nodes_[i + 1] : nullptr};
  }
  return nodes_.empty() ? nullptr : nodes_.data();
}

bool is_senders_own(std::string_view name) {
  return std::ranges::any_of(kSendersOwn, [&](std::string_view own) { return same_name(own, name); });
}

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

}  // namespace sterna::callback
