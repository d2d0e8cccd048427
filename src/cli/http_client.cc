#include "cli/http_client.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <strings.h>

#include <array>
#include <atomic>
#include <charconv>

namespace sterna::cli {
namespace {

constexpr long kConnectTimeoutSeconds = 10;
constexpr std::size_t kMaxHeaderLines = 1000;

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

HeaderList header_list(const std::vector<std::string>& headers) {
  HeaderList list;
  // Without this, curl holds larger bodies back for a second to hear "100 Continue".
  list.reset(curl_slist_append(list.release(), "Expect:"));
  for (const auto& header : headers) list.reset(curl_slist_append(list.release(), header.c_str()));
  return list;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\r' || text.back() == '\n' || text.back() == ' '))
    text.remove_suffix(1);
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  return text;
}

bool is_loopback_url(std::string_view url) {
  const auto scheme = url.find("://");
  const std::string_view rest = scheme == std::string_view::npos ? url : url.substr(scheme + 3);
  return rest.starts_with("127.") || rest.starts_with("localhost") || rest.starts_with("[::1]");
}

}  // namespace

std::string_view HttpHead::find(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key.size() == name.size() && strncasecmp(key.data(), name.data(), name.size()) == 0) return value;
  }
  return {};
}

struct HttpClient::Curl {
  CURL* handle = curl_easy_init();
  CURLM* multi = curl_multi_init();  // keeps the connection; unlike the handle alone, it can be woken
  std::array<char, CURL_ERROR_SIZE> error{};
  std::atomic<bool> interrupted = false;

  ~Curl() {
    curl_easy_cleanup(handle);
    curl_multi_cleanup(multi);
  }

  // Until the end of the exchange, or an interruption.
  CURLcode perform() {
    constexpr int kPollMs = 60'000;  // curl wakes up earlier for timeouts of its own
    curl_multi_add_handle(multi, handle);
    int running = 1;
    CURLMcode state = CURLM_OK;
    while (running > 0 && state == CURLM_OK && !interrupted) {
      state = curl_multi_perform(multi, &running);
      if (running > 0 && state == CURLM_OK) state = curl_multi_poll(multi, nullptr, 0, kPollMs, nullptr);
    }
    CURLcode result = state == CURLM_OK ? CURLE_ABORTED_BY_CALLBACK : CURLE_FAILED_INIT;
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
      if (message->msg == CURLMSG_DONE) result = message->data.result;
    }
    curl_multi_remove_handle(multi, handle);
    return result;
  }
};

// What curl's callbacks see of one exchange.
struct HttpClient::Transfer {
  const HttpRequest& request;
  const HttpSinks& sinks;
  HeaderList headers;
  HttpHead head;
  bool head_told = false;
  bool refused = false;  // a sink ended the transfer
  int unread = 0;        // the errno of a read of `upload` that has failed

  // Interim answers (1xx) have a head of their own; only the last one counts.
  void take_header_line(std::string_view line) {
    line = trimmed(line);
    if (line.starts_with("HTTP/")) {
      head = HttpHead{};
      head.status_line = line;
      const auto space = line.find(' ');
      if (space != std::string_view::npos) {
        std::from_chars(line.data() + space + 1, line.data() + line.size(), head.status);
      }
    } else if (const auto colon = line.find(':');
               colon != std::string_view::npos && head.headers.size() < kMaxHeaderLines) {
      head.headers.emplace_back(line.substr(0, colon), trimmed(line.substr(colon + 1)));
    } else if (line.empty() && head.status >= 200) {
      tell_head();
    }
  }

  void tell_head() {
    if (std::exchange(head_told, true)) return;  // the blank line after trailers
    if (sinks.on_head) sinks.on_head(head);
  }

  static std::size_t on_header(char* data, std::size_t, std::size_t bytes, void* self) {
    static_cast<Transfer*>(self)->take_header_line({data, bytes});
    return bytes;
  }
  static std::size_t on_body(char* data, std::size_t, std::size_t bytes, void* self) {
    auto* transfer = static_cast<Transfer*>(self);
    if (transfer->sinks.on_body({data, bytes})) return bytes;
    transfer->refused = true;
    return 0;
  }
  static std::size_t on_upload(char* data, std::size_t, std::size_t bytes, void* self) {
    auto* transfer = static_cast<Transfer*>(self);
    const std::size_t read = std::fread(data, 1, bytes, transfer->request.upload);
    if (std::ferror(transfer->request.upload) == 0) return read;
    transfer->unread = errno;
    return CURL_READFUNC_ABORT;
  }
};

HttpClient::HttpClient(std::string ca_file) : ca_file_(std::move(ca_file)), curl_(std::make_unique<Curl>()) {
  STERNA_ASSERT(curl_->handle != nullptr && curl_->multi != nullptr);
}
HttpClient::~HttpClient() = default;

void HttpClient::interrupt() {
  curl_->interrupted = true;
  curl_multi_wakeup(curl_->multi);
}

void HttpClient::set_up(Transfer& transfer) {
  const HttpRequest& request = transfer.request;
  CURL* handle = curl_->handle;
  curl_easy_reset(handle);  // keeps the connection
  curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, kConnectTimeoutSeconds);
  curl_easy_setopt(handle, CURLOPT_TIMEOUT, static_cast<long>(request.timeout.count()));
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "sterna");
  if (!ca_file_.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, ca_file_.c_str());
  if (is_loopback_url(request.url)) curl_easy_setopt(handle, CURLOPT_NOPROXY, "*");
  if (request.upload != nullptr) {
    curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(handle, CURLOPT_READFUNCTION, &Transfer::on_upload);
    curl_easy_setopt(handle, CURLOPT_READDATA, &transfer);
  } else if (request.body) {
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body->size()));
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.body->data());
  }
  curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  curl_easy_setopt(handle, CURLOPT_NOBODY, request.method == "HEAD" ? 1L : 0L);
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, transfer.headers.get());
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, curl_->error.data());
}

Status HttpClient::stream(const HttpRequest& request, const HttpSinks& sinks) {
  Transfer transfer{.request = request, .sinks = sinks, .headers = header_list(request.headers), .head = {}};
  set_up(transfer);
  curl_->error.front() = '\0';
  const CURLcode code = curl_->perform();
  if (transfer.unread != 0)
    return fail_errno(Component::kGateway, "cannot read what is to be sent", transfer.unread);
  if (code == CURLE_OK || transfer.refused) return {};

  const std::string_view why = curl_->error.front() == '\0' ? curl_easy_strerror(code) : curl_->error.data();
  if (curl_->interrupted) {
    return fail(Code::kUnavailable, Component::kGateway, "interrupted", "the exchange was ended");
  }
  switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return fail(Code::kInvalid, Component::kGateway, "bad_url",
                  fmt::format("{} is not a usable http or https URL: {}", request.url, why));
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return fail(
          Code::kUnavailable, Component::kGateway, "unreachable",
          fmt::format("the server's certificate is not trusted ({}): name its authority with --ca-file or "
                      "STERNA_CA_FILE",
                      why));
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_OPERATION_TIMEDOUT:
      return fail(Code::kUnavailable, Component::kGateway, "unreachable", std::string(why));
    default:
      return fail(Code::kUnavailable, Component::kGateway, "broken_answer",
                  fmt::format("the exchange with the server broke off: {}", why));
  }
}

Result<HttpReply> HttpClient::fetch(const HttpRequest& request) {
  HttpReply reply;
  bool too_large = false;
  const HttpSinks sinks{
      .on_head = [&](const HttpHead& head) { reply.head = head; },
      .on_body =
          [&](std::string_view part) {
            too_large = reply.body.size() + part.size() > kMaxReplyBytes;
            if (!too_large) reply.body.append(part);
            return !too_large;
          },
  };
  if (auto done = stream(request, sinks); !done) return std::unexpected(done.error());
  if (too_large) {
    return fail(Code::kExhausted, Component::kGateway, "answer_too_large",
                fmt::format("the answer is larger than {} MiB", kMaxReplyBytes >> 20U));
  }
  return reply;
}

}  // namespace sterna::cli
