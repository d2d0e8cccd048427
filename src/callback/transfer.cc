#include "callback/transfer.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>

#include "callback/retry_after.h"
#include "callback/verdict.h"

namespace sterna::callback {
namespace {

constexpr std::size_t kSignPieceBytes = 256 << 10;  // between two of them other transfers go on

long milliseconds_of(Duration duration) {
  return std::max(1L, std::chrono::ceil<std::chrono::milliseconds>(duration).count());
}

Transfer& transfer_of(void* self) {
  return *static_cast<Transfer*>(self);
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

}  // namespace

Transfer::Transfer(const SenderLimits& limits, const AllowList& server_allow, const Clock& clock,
                   curl_slist* resolved, AnswerObserver& observer)
    : limits_(limits),
      server_allow_(server_allow),
      clock_(clock),
      observer_(observer),
      handle_(curl_easy_init()) {
  STERNA_ASSERT(handle_ != nullptr);
  set_options(resolved);
}

Transfer::~Transfer() {
  curl_easy_cleanup(handle_);
}

Transfer& Transfer::of(CURL* handle) {
  char* self = nullptr;
  curl_easy_getinfo(handle, CURLINFO_PRIVATE, &self);
  return transfer_of(self);
}

// What is the same for all posts.
void Transfer::set_options(curl_slist* resolved) {
  const auto set = [this](CURLoption option, auto value) {
    STERNA_ASSERT(curl_easy_setopt(handle_, option, value) == CURLE_OK);
  };
  set(CURLOPT_PRIVATE, static_cast<void*>(this));
  set(CURLOPT_ERRORBUFFER, error_text_.data());
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_QUICK_EXIT, 1L);  // else the end of a transfer waits for a name server that does not answer
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_PROXY, "");  // nothing from the environment
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_POST, 1L);
  set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds_of(limits_.connect_timeout));
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  set(CURLOPT_OPENSOCKETFUNCTION, &Transfer::on_open_socket);
  set(CURLOPT_OPENSOCKETDATA, this);
  set(CURLOPT_PREREQFUNCTION, &Transfer::on_connected);
  set(CURLOPT_PREREQDATA, this);
  set(CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &Transfer::on_answer_body);
  set(CURLOPT_WRITEDATA, this);
  set(CURLOPT_READFUNCTION, &Transfer::on_read_body);
  set(CURLOPT_READDATA, this);
  set(CURLOPT_SEEKFUNCTION, &Transfer::on_seek_body);
  set(CURLOPT_SEEKDATA, this);
  if (!limits_.ca_file.empty()) set(CURLOPT_CAINFO, limits_.ca_file.c_str());
  if (resolved != nullptr) set(CURLOPT_RESOLVE, resolved);
}

Transfer::Step Transfer::begin(PendingPostPtr pending) {
  pending_ = std::move(pending);
  target_ = pending_->target;
  redirects_ = 0;
  same_origin_ = true;
  deadline_ = clock_.now() + time_limit();
  body_offset_ = 0;
  source_failed_ = false;
  fresh_ = false;

  const Post& post = pending_->post;
  if (post.secrets.empty()) return end_signing({});
  const auto now = std::chrono::floor<std::chrono::seconds>(clock_.wall()).time_since_epoch().count();
  timestamp_ = std::to_string(now);
  auto signer = Signer::create(post.secrets, post.webhook_id, now);
  if (!signer) return end(undeliverable("the space's signing secret is unusable"), Reach::kUnknown);
  if (post.large_body == nullptr) {
    signer->update(post.body);
    return end_signing(signer->finish());
  }
  signer_ = std::move(*signer);
  return Step::kSign;
}

Transfer::Step Transfer::sign_some() {
  STERNA_ASSERT(signer_.has_value());
  std::array<char, kSignPieceBytes> piece;
  const auto read = pending_->post.large_body->read(body_offset_, piece);
  if (!read || (*read == 0 && body_offset_ < body_size())) {
    return end(not_attempted("the stored answer could not be read", limits_.first_rest), Reach::kUnknown);
  }
  signer_->update({piece.data(), *read});
  body_offset_ += *read;
  if (body_offset_ < body_size()) return Step::kSign;
  std::string signature = signer_->finish();
  signer_.reset();
  return end_signing(std::move(signature));
}

Transfer::Step Transfer::end_signing(std::string signature) {
  signature_ = std::move(signature);
  return send();
}

Transfer::Step Transfer::send() {
  const Duration left = deadline_ - clock_.now();
  if (left <= Duration::zero()) {
    return end(result_for_failure(CURLE_OPERATION_TIMEDOUT, "the time for this delivery is over"),
               Reach::kFailed);
  }
  if (auto checked = check_literal(target_, {&server_allow_, pending_->post.allow.get()}); !checked) {
    return end_forbidden(checked.error());
  }
  answer_ = {};
  forbidden_.reset();
  opened_ = false;
  body_offset_ = 0;
  error_text_.front() = '\0';
  write_headers();

  const Post& post = pending_->post;
  curl_easy_setopt(handle_, CURLOPT_URL, target_.url.c_str());
  curl_easy_setopt(handle_, CURLOPT_HTTPHEADER, headers_.list());
  curl_easy_setopt(handle_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body_size()));
  curl_easy_setopt(handle_, CURLOPT_POSTFIELDS, post.large_body != nullptr ? nullptr : post.body.data());
  curl_easy_setopt(handle_, CURLOPT_TIMEOUT_MS, milliseconds_of(left));
  curl_easy_setopt(handle_, CURLOPT_FRESH_CONNECT, fresh_ ? 1L : 0L);
  // Until it is known whether a TLS target speaks HTTP/2, one connection is made, not one for each post.
  curl_easy_setopt(handle_, CURLOPT_PIPEWAIT, target_.tls ? 1L : 0L);
  return Step::kSend;
}

void Transfer::write_headers() {
  const Post& post = pending_->post;
  headers_.clear();
  bool has_type = false;
  bool has_agent = false;
  bool has_accept = false;
  for (const auto& [name, value] : post.headers) {
    if (is_senders_own(name)) continue;
    if (!same_origin_ && (same_name(name, "authorization") || same_name(name, "cookie"))) continue;
    has_type = has_type || same_name(name, "content-type");
    has_agent = has_agent || same_name(name, "user-agent");
    has_accept = has_accept || same_name(name, "accept");
    headers_.add(name, value);
  }
  if (!post.secrets.empty()) {
    headers_.add("webhook-id", post.webhook_id);
    headers_.add("webhook-timestamp", timestamp_);
    headers_.add("webhook-signature", signature_);
  }
  if (!has_agent) headers_.add("User-Agent", "Sterna");
  if (!has_type) headers_.suppress("Content-Type");
  if (!has_accept) headers_.suppress("Accept");
  headers_.suppress("Expect");  // curl would hold a body back for a second to hear "100 Continue"
}

Transfer::Step Transfer::on_done(CURLcode code) {
  if (source_failed_) {
    return end(not_attempted("the stored answer could not be read", limits_.first_rest), Reach::kUnknown);
  }
  // With the head of the answer everything is known, whatever becomes of its body.
  if (answer_.is_final()) return end_answered();
  if (forbidden_ && !other_address_was_tried(code)) {
    if (code == CURLE_ABORTED_BY_CALLBACK && !std::exchange(fresh_, true)) return send();
    return end_forbidden(*forbidden_);
  }
  if (has_large_head(code)) {
    return end(result_for_large_head(limits_.max_answer_head_bytes), Reach::kAnswered);
  }
  if (code == CURLE_OK) code = CURLE_WEIRD_SERVER_REPLY;
  return end(
      result_for_failure(code, error_text_.front() == '\0' ? curl_easy_strerror(code) : error_text_.data()),
      Reach::kFailed);
}

bool Transfer::has_answer() const {
  if (!answer_.is_final()) return false;
  curl_off_t sent = 0;
  curl_easy_getinfo(handle_, CURLINFO_SIZE_UPLOAD_T, &sent);
  return answer_.status >= 300 || static_cast<std::uint64_t>(sent) >= body_size();
}

// A line that is longer than curl's own limit, 100 KiB, is not given to us; curl says then that memory ran
// out.
bool Transfer::has_large_head(CURLcode code) const {
  long request_bytes = 0;
  curl_easy_getinfo(handle_, CURLINFO_REQUEST_SIZE, &request_bytes);
  return answer_.head_bytes > limits_.max_answer_head_bytes ||
         (code == CURLE_OUT_OF_MEMORY && request_bytes > 0);
}

// Whether the end is about another address than the one that was refused. A request that was aborted is about
// the connection of another post with wider permissions: see on_done.
bool Transfer::other_address_was_tried(CURLcode code) const {
  return opened_ && code != CURLE_ABORTED_BY_CALLBACK;
}

Transfer::Step Transfer::end_answered() {
  if (is_followed_redirect(answer_.status)) return follow();
  auto retry_after = parse_retry_after(answer_.retry_after, clock_.wall());
  if (retry_after) retry_after = std::min(*retry_after, limits_.longest_retry_after);
  return end(result_for_answer(answer_.status, retry_after), Reach::kAnswered);
}

Transfer::Step Transfer::follow() {
  const unsigned status = answer_.status;
  const auto give_up = [&](std::string detail) {
    PostResult result = undeliverable(std::move(detail));
    result.status_code = status;
    return end(std::move(result), Reach::kAnswered);
  };
  if (redirects_ >= limits_.max_redirects) {
    return give_up(fmt::format("the receiver redirected more than {} times", limits_.max_redirects));
  }
  auto target = resolve_redirect(target_, answer_.location);
  if (!target) return give_up(fmt::format("the receiver answered {}: {}", status, target.error().detail));
  ++redirects_;
  same_origin_ = same_origin_ && target->origin() == target_.origin();
  target_ = *std::move(target);
  fresh_ = false;
  return send();
}

Transfer::Step Transfer::end_forbidden(const Error& error) {
  return end(undeliverable(redirects_ > 0 ? "after a redirect: " + error.detail : error.detail),
             Reach::kUnknown);
}

Transfer::Step Transfer::end(PostResult result, Reach reach) {
  signer_.reset();
  result_ = std::move(result);
  reach_ = reach;
  return Step::kOver;
}

std::uint64_t Transfer::body_size() const {
  const Post& post = pending_->post;
  return post.large_body != nullptr ? post.large_body->size() : post.body.size();
}

Duration Transfer::time_limit() const {
  return limits_.total_timeout + std::chrono::seconds(body_size() / limits_.slowest_upload_bytes_per_second);
}

Status Transfer::check(const IpAddress& address) const {
  return check_address(target_.host, address, {&server_allow_, pending_->post.allow.get()});
}

// The one place where a connection begins: the address that is checked is the one that is used.
curl_socket_t Transfer::on_open_socket(void* self, curlsocktype, curl_sockaddr* address) {
  Transfer& transfer = transfer_of(self);
  const auto ip = ip_of(address->addr);
  if (!ip) return CURL_SOCKET_BAD;
  if (auto checked = transfer.check(*ip); !checked) {
    transfer.forbidden_ = std::move(checked.error());
    return CURL_SOCKET_BAD;
  }
  transfer.opened_ = true;
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// A connection that is used again was opened for another post, whose space may be allowed more.
int Transfer::on_connected(void* self, char* remote, char*, int, int) {
  Transfer& transfer = transfer_of(self);
  const auto address = parse_ip(remote);
  if (!address) return CURL_PREREQFUNC_ABORT;
  auto checked = transfer.check(*address);
  if (checked) return CURL_PREREQFUNC_OK;
  transfer.forbidden_ = std::move(checked.error());
  return CURL_PREREQFUNC_ABORT;
}

std::size_t Transfer::on_header(char* data, std::size_t, std::size_t bytes, void* self) {
  return transfer_of(self).take_header_line({data, bytes}) ? bytes : 0;
}

// Interim answers (1xx) have a head of their own; only the last one counts.
bool Transfer::take_header_line(std::string_view line) {
  answer_.head_bytes += line.size();
  if (answer_.head_bytes > limits_.max_answer_head_bytes)
    return answer_.head_ended;  // trailers are of no interest
  if (answer_.is_final()) return true;
  line = trimmed(line);
  if (line.starts_with("HTTP/")) {
    const std::size_t head_bytes = answer_.head_bytes;
    answer_ = {.head_bytes = head_bytes, .retry_after = {}, .location = {}};
    const auto space = line.find(' ');
    if (space != std::string_view::npos) {
      std::from_chars(line.data() + space + 1, line.data() + line.size(), answer_.status);
    }
  } else if (line.empty()) {
    answer_.head_ended = true;
    if (answer_.is_final()) observer_.on_answer_head(*this);
  } else if (const auto colon = line.find(':'); colon != std::string_view::npos) {
    const std::string_view name = line.substr(0, colon);
    if (same_name(name, "retry-after")) answer_.retry_after = trimmed(line.substr(colon + 1));
    if (same_name(name, "location")) answer_.location = trimmed(line.substr(colon + 1));
  }
  return true;
}

std::size_t Transfer::on_answer_body(char*, std::size_t, std::size_t bytes, void* self) {
  Transfer& transfer = transfer_of(self);
  transfer.answer_.body_bytes += bytes;
  return transfer.answer_.body_bytes > transfer.limits_.max_answer_body_bytes ? 0 : bytes;
}

std::size_t Transfer::on_read_body(char* into, std::size_t, std::size_t bytes, void* self) {
  Transfer& transfer = transfer_of(self);
  BodySource* source = transfer.pending_->post.large_body.get();
  if (source == nullptr || transfer.body_offset_ >= source->size()) return 0;
  const auto left =
      static_cast<std::size_t>(std::min<std::uint64_t>(bytes, source->size() - transfer.body_offset_));
  const auto read = source->read(transfer.body_offset_, {into, left});
  if (!read || *read == 0) {
    transfer.source_failed_ = true;
    return CURL_READFUNC_ABORT;
  }
  transfer.body_offset_ += *read;
  return *read;
}

// curl starts the body over when a connection that it used again turns out to be closed.
int Transfer::on_seek_body(void* self, curl_off_t offset, int origin) {
  if (origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_CANTSEEK;
  transfer_of(self).body_offset_ = static_cast<std::uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

}  // namespace sterna::callback
