#include "net/http2_stream.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "net/http2_session.h"
#include "net/http_server.h"
#include "net/http_text.h"

namespace sterna::net {
namespace {

constexpr std::size_t kKeptSent = 256U << 10;
constexpr std::size_t kDateField = 1;  // of an answer: behind the status

nghttp2_nv pair_of(std::string_view name, std::string_view value) {
  // nghttp2 copies both; it has no const in its type.
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NONE};
}

Error bad_request(std::string_view detail) {
  return {Code::kInvalid, Component::kGateway, "bad_request", std::string(detail)};
}

}  // namespace

Http2Stream::Http2Stream(Http2Session& session, std::int32_t id, std::string client)
    : HttpConnection(session.server().budget_, std::move(client)),
      session_(session),
      id_(id),
      arrived_(session.server().loop_.now()),
      progress_(arrived_) {}

// --- the request ---

void Http2Stream::on_field(std::string_view name, std::string_view value) {
  const std::size_t limit = session_.server().limits_.max_header_bytes;
  if (head_.size() + cookies_.size() + fields_.size() * kFieldOverhead + name.size() + value.size() > limit)
    head_too_large_ = true;
  if (head_too_large_) return;
  if (name == "cookie") {
    cookies_.append(cookies_.empty() ? "" : "; ").append(value);
    return;
  }
  fields_.push_back({.at = head_.size(), .name_bytes = name.size(), .value_bytes = value.size()});
  head_.append(name).append(value);
}

std::string_view Http2Stream::read_field(const Header& field, std::string_view& authority) {
  if (field.name == ":method") {
    request_.method = field.value;
  } else if (field.name == ":path") {
    request_.target = field.value;
  } else if (field.name == ":authority" || field.name == "host") {
    if (!authority.empty() && authority != field.value)
      return "the :authority and Host of a request must be one";
    authority = field.value;
  } else if (!field.name.starts_with(':')) {
    request_.headers.push_back(field);
  }
  if (field.known == KnownHeader::kContentLength) {
    request_.content_length = content_length(field.value);
    if (!request_.content_length) return "the Content-Length is no number";
  }
  if (field.known == KnownHeader::kExpect)
    request_.expects_continue = equal_ignoring_case(field.value, "100-continue");
  return {};
}

std::string_view Http2Stream::read_request() {
  const std::string_view text = head_;
  std::string_view authority;
  for (const Field& field : fields_) {
    const Header header(text.substr(field.at, field.name_bytes),
                        text.substr(field.at + field.name_bytes, field.value_bytes));
    const std::string_view wrong = read_field(header, authority);
    if (!wrong.empty()) return wrong;
  }
  if (!cookies_.empty()) request_.headers.emplace_back("cookie", cookies_);
  if (authority.empty()) return "a request must name a host";
  if (!is_host(authority)) return "the :authority names no host";
  request_.headers.emplace(request_.headers.begin(), "host", authority);
  if (!request_.target.starts_with('/') && !(request_.target == "*" && request_.method == "OPTIONS"))
    return "the request target must be a path, such as /healthz";
  return {};
}

void Http2Stream::on_head(EndOfStream end) {
  request_.scheme = session_.is_tls() ? "https" : "http";
  complete_ = end == EndOfStream::kYes;
  if (head_too_large_) {
    request_.method = "GET";  // whatever it is: the refusal has a body
    return refuse(431, head_too_large("headers_too_large", session_.server().limits_.max_header_bytes));
  }
  if (const std::string_view wrong = read_request(); !wrong.empty()) return refuse(400, bad_request(wrong));
  if (const std::string_view* expect = request_.find(KnownHeader::kExpect);
      expect != nullptr && !request_.expects_continue) {
    return refuse(417, {Code::kInvalid, Component::kGateway, "expectation_failed",
                        "only Expect: 100-continue is known"});
  }
  body_limit_ = session_.server().service_.on_head(*this);
  if (answer_ != Answer::kNone) return;
  if (request_.content_length.value_or(0) > body_limit_) return refuse(413, body_too_large(body_limit_));
  body_is_whole_ = complete_;
  if (complete_) return come();
  if (request_.expects_continue) {
    const std::array interim = {pair_of(":status", "100")};
    nghttp2_submit_headers(session_.native(), NGHTTP2_FLAG_NONE, id_, nullptr, interim.data(), interim.size(),
                           nullptr);
  }
  if (std::exchange(begins_early_, false)) come();
}

void Http2Stream::come() {
  if (turn_ == Turn::kNotYet) session_.begin_or_wait(*this);
}

void Http2Stream::start() {
  turn_ = Turn::kBegun;
  ++session_.answers(*this).begun;
  session_.server().service_.on_request(*this);
}

void Http2Stream::end_turn() {
  if (std::exchange(turn_, Turn::kAnswered) == Turn::kBegun) --session_.answers(*this).begun;
}

void Http2Stream::on_data(std::string_view part) {
  body_bytes_ += part.size();
  if (!wants_body()) {
    dropped_bytes_ += part.size();
    if (dropped_bytes_ > kMaxDropped) session_.reset(id_, NGHTTP2_NO_ERROR);
    return;
  }
  if (body_bytes_ > body_limit_) return refuse(413, body_too_large(body_limit_));
  if (const auto kept = body_.append(part); !kept) return refuse(503, kept.error());
  if (body_observer_ != nullptr) body_observer_->on_body();
}

void Http2Stream::on_end() {
  complete_ = true;
  if (!wants_body()) return;
  body_is_whole_ = true;
  if (BodyObserver* observer = std::exchange(body_observer_, nullptr)) return observer->on_body();
  come();
}

void Http2Stream::on_answer_left() {
  left_at_ = session_.server().loop_.now();
}

void Http2Stream::on_closed() {
  end_turn();
  session_.answers(*this).untaken -= std::exchange(counted_, 0);
  tell_gone();
}

void Http2Stream::give_up() {
  aborted_ = true;
  session_.reset(id_, NGHTTP2_INTERNAL_ERROR);
}

void Http2Stream::refuse(unsigned status, const Error& error) {
  if (answer_ == Answer::kFinished) return;
  if (answer_ != Answer::kNone) {
    tell_gone();
    return abort();
  }
  if (BodyObserver* observer = std::exchange(body_observer_, nullptr))
    return observer->on_body_refused(status, error);
  session_.server().service_.on_refused(*this, status, error);
}

// --- the response ---

void Http2Stream::begin(unsigned status) {
  STERNA_ASSERT(answer_ == Answer::kNone);
  answer_ = Answer::kBegun;
  bodyless_ = is_bodyless(status);
  header(":status", std::to_string(status));
  header("date", session_.server().date());
  write_added(status);
}

void Http2Stream::header(std::string_view name, std::string_view value) {
  const Field field{.at = answer_head_.size(), .name_bytes = name.size(), .value_bytes = value.size()};
  if (is_date(name) && answer_fields_.size() > kDateField) {
    answer_fields_[kDateField] = field;
  } else {
    answer_fields_.push_back(field);
  }
  for (const char c : name) answer_head_ += c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  answer_head_.append(value);
}

void Http2Stream::submit(EndOfStream end) {
  std::vector<nghttp2_nv> pairs;
  pairs.reserve(answer_fields_.size());
  const std::string_view text = answer_head_;
  for (const Field& field : answer_fields_) {
    pairs.push_back(pair_of(text.substr(field.at, field.name_bytes),
                            text.substr(field.at + field.name_bytes, field.value_bytes)));
  }
  session_.submit(id_, pairs, end);
  answer_fields_ = {};
  answer_head_ = {};
  progress_ = session_.server().loop_.now();
  session_.touch(id_);
}

void Http2Stream::send(std::string_view body) {
  if (!bodyless_ && !is_head()) out_ = body;
  counted_ = out_.size();
  session_.answers(*this).untaken += counted_;
  finish_whole(body.size());
}

void Http2Stream::send_fixed(std::string_view body) {
  if (!bodyless_ && !is_head()) fixed_ = body;
  finish_whole(body.size());
}

void Http2Stream::finish_whole(std::size_t body_bytes) {
  STERNA_ASSERT(answer_ == Answer::kBegun);
  if (!bodyless_) header("content-length", std::to_string(body_bytes));
  answer_ = Answer::kFinished;
  forget_observers();
  end_turn();
  submit(buffered() == 0 ? EndOfStream::kYes : EndOfStream::kNo);
}

void Http2Stream::begin_stream(std::optional<std::uint64_t> length) {
  STERNA_ASSERT(answer_ == Answer::kBegun);
  announce(length);
  if (!bodyless_ && length) header("content-length", std::to_string(*length));
  answer_ = Answer::kStreaming;
  end_turn();
  submit(EndOfStream::kNo);
}

void Http2Stream::write(std::string_view part) {
  STERNA_ASSERT(answer_ == Answer::kStreaming);
  if (part.empty() || bodyless_ || is_head()) return;
  count_written(part.size());
  if (buffered() == 0) progress_ = session_.server().loop_.now();
  out_ += part;
  if (std::exchange(deferred_, false)) nghttp2_session_resume_data(session_.native(), id_);
  session_.touch(id_);
}

void Http2Stream::finish() {
  STERNA_ASSERT(answer_ == Answer::kStreaming);
  check_whole();
  answer_ = Answer::kFinished;
  forget_observers();
  if (std::exchange(deferred_, false)) nghttp2_session_resume_data(session_.native(), id_);
  session_.touch(id_);
}

// A reset overtakes what nghttp2 has not sent yet, even the head: it waits for that where something waits.
void Http2Stream::abort() {
  const bool all_left = answer_ != Answer::kStreaming || (deferred_ && buffered() == 0);
  forget_observers();
  end_turn();
  answer_ = Answer::kFinished;
  aborted_ = true;
  if (all_left) return session_.reset(id_, NGHTTP2_INTERNAL_ERROR);
  if (std::exchange(deferred_, false)) nghttp2_session_resume_data(session_.native(), id_);
  session_.touch(id_);
}

std::size_t Http2Stream::take(std::span<std::uint8_t> to) {
  const std::size_t bytes = std::min(to.size(), buffered());
  if (bytes > 0) progress_ = session_.server().loop_.now();
  if (!fixed_.empty()) {
    fixed_.copy(reinterpret_cast<char*>(to.data()), bytes);
    fixed_.remove_prefix(bytes);
    return bytes;
  }
  std::memcpy(to.data(), out_.data() + out_sent_, bytes);
  out_sent_ += bytes;
  const std::size_t counted = std::min(counted_, bytes);
  counted_ -= counted;
  session_.answers(*this).untaken -= counted;
  if (buffered() == 0) {
    out_.clear();
    out_sent_ = 0;
  } else if (out_sent_ > kKeptSent) {
    out_.erase(0, out_sent_);
    out_sent_ = 0;
  }
  return bytes;
}

bool Http2Stream::waits_for_client() const {
  if (turn_ == Turn::kWaits) return true;
  return HttpConnection::waits_for_client(complete_ ? Came::kWhole : Came::kInPart, progress_,
                                          session_.server().loop_.now());
}

void Http2Stream::tell_drained() {
  if (answer_ == Answer::kStreaming && observer_ != nullptr && buffered() <= kLowWater)
    observer_->on_drained();
}

void Http2Stream::tell_server_ends() {
  if (observer_ != nullptr) observer_->on_server_ends();
}

MonotonicTime Http2Stream::body_deadline() const {
  const HttpServer& server = session_.server();
  if (server.draining_ && body_observer_ == nullptr) return server.draining_since_ + kDrainPatience;
  return arrived_ + server.limits_.body_timeout + std::chrono::seconds(body_bytes_ / kMinBodyRate);
}

void Http2Stream::check_deadline(MonotonicTime now) {
  HttpServer& server = session_.server();
  const Duration stall = server.limits_.write_stall;
  if ((buffered() > 0 || aborted_) && now >= progress_ + (aborted_ ? server.patience(stall) : stall)) {
    return session_.reset(id_, NGHTTP2_CANCEL);  // the client gives no window
  }
  if (left_at_ && now >= *left_at_ + server.patience(kLinger)) return session_.reset(id_, NGHTTP2_NO_ERROR);
  if (complete_ || now < body_deadline()) return;
  if (answer_ == Answer::kNone) {
    return server.draining_ && body_observer_ == nullptr
               ? refuse(503, server_ends())
               : refuse(408, request_timeout("the request body did not arrive in time"));
  }
  session_.reset(id_, NGHTTP2_CANCEL);
}

}  // namespace sterna::net
