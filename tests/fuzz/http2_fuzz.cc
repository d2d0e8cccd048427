// The HTTP/2 edge: a connection fed with any frames. Whatever comes, the service sees requests that it can
// hand to a function, and the connection ends.
#include <algorithm>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "edge.h"

namespace sterna::fuzz {
namespace {

using net::HttpConnection;

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::string_view kNoSettings("\0\0\0\4\0\0\0\0\0", 9);
constexpr std::size_t kMaxHeader = 512;

// Answers in each way that there is: at once, early, streamed in more bytes than a window, later, not at all.
class Service final : public net::HttpService {
 public:
  explicit Service(net::Loop& loop) : loop_(loop) {}

  bool is_http2 = true;  // what comes begins as HTTP/2 does; the other edge is looked at elsewhere

  std::uint64_t on_head(HttpConnection& connection) override {
    check(connection.request());
    if (connection.request().target.starts_with("/early")) {
      connection.begin(404);
      connection.send("no");
    }
    if (connection.request().target.starts_with("/late/long")) connection.answers_at_length();
    if (connection.request().target.starts_with("/late/long/early")) connection.begin_early();
    return connection.request().target.starts_with("/small") ? 3 : 1000;
  }

  void on_request(HttpConnection& connection) override {
    check(connection.request());
    must(connection.body().size() <= 1000, "a body is as large as it may be");
    const std::string_view target = connection.request().target;
    if (target.starts_with("/late")) {
      hold(connection);
    } else if (target.starts_with("/stream")) {
      connection.begin(200);
      connection.begin_stream(std::nullopt);
      connection.write(std::string(100'000, 'x'));
      connection.finish();
    } else if (target.starts_with("/fixed")) {
      static const std::string body(100'000, 'f');
      connection.begin(200);
      connection.send_fixed(body);
    } else if (target.starts_with("/abort")) {
      connection.begin(200);
      connection.begin_stream(10);
      connection.write("part");
      connection.abort();
    } else {
      connection.begin(200);
      connection.header("X-Test", "yes");
      connection.send(connection.body().memory());
    }
  }

  void on_refused(HttpConnection& connection, unsigned status, const Error& error) override {
    must(status >= 400 && !error.reason.empty(), "a refusal has a status and a reason");
    connection.begin(status);
    connection.send(error.reason);
  }

  bool owes_answers() const { return !held_.empty(); }

 private:
  struct Held final : net::ResponseObserver {
    Held(Service& of, HttpConnection& to) : service(of), connection(&to) { to.observe(this); }
    ~Held() override {
      if (connection != nullptr) connection->observe(nullptr);
    }
    void on_client_gone() override { connection = nullptr; }
    void on_drained() override {}
    Service& service;
    HttpConnection* connection;
  };

  void check(const net::HttpRequest& request) const {
    if (!is_http2) return;
    must(!request.method.empty(), "a request has a method");
    must(request.target.starts_with('/') || request.target == "*", "a target is a path");
    must(!request.headers.empty() && request.headers.front().name == "host",
         "a request names its host first");
    std::size_t bytes = 0;
    for (const net::Header& header : request.headers) {
      bytes += header.name.size() + header.value.size();
      must(!header.name.empty() && !header.name.starts_with(':'), "a pseudo-header is no header");
      must(header.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos,
           "a value is one line");
      must(std::ranges::none_of(header.name, [](char c) { return c <= ' ' || (c >= 'A' && c <= 'Z'); }),
           "a name is a lower-case token");
    }
    must(bytes <= 4 * kMaxHeader, "a head is as large as it may be");
  }

  void hold(HttpConnection& connection) {
    held_.push_back(std::make_unique<Held>(*this, connection));
    loop_.post([this] { answer_first(); });
  }

  void answer_first() {
    const auto first = std::move(held_.front());
    held_.pop_front();
    HttpConnection* const connection = std::exchange(first->connection, nullptr);
    if (connection == nullptr) return;
    connection->observe(nullptr);
    connection->begin(200);
    connection->send("late");
  }

  net::Loop& loop_;
  std::list<std::unique_ptr<Held>> held_;
};

// Frames whose lengths are right, so that what is in them is looked at: of each the type, the flags, the
// stream, the length of the payload, and the payload.
std::string frames_of(std::string_view rest) {
  constexpr std::uint8_t kTypes = 11;  // one more than there are
  std::string frames;
  while (!rest.empty()) {
    const std::uint8_t type = take_byte(rest) % kTypes;
    const std::uint8_t flags = take_byte(rest);
    const std::uint8_t stream = take_byte(rest);
    const std::size_t length = take_byte(rest);
    const std::string_view payload = rest.substr(0, length);
    rest.remove_prefix(payload.size());
    frames.append(2, '\0').push_back(static_cast<char>(payload.size()));
    frames.push_back(static_cast<char>(type));
    frames.push_back(static_cast<char>(flags));
    frames.append(3, '\0').push_back(static_cast<char>(stream));
    frames.append(payload);
  }
  return frames;
}

net::HttpLimits limits() {
  net::HttpLimits small;
  small.max_header_bytes = kMaxHeader;
  small.max_streams = 16;
  return small;
}

}  // namespace
}  // namespace sterna::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sterna::fuzz;  // NOLINT(google-build-using-namespace): this program's own
  std::string_view rest = text_of(data, size);
  const std::uint8_t seed = take_byte(rest);
  std::string bytes;
  switch (seed % 3) {
    case 0:
      bytes.append(kPreface).append(kNoSettings).append(frames_of(rest));
      break;
    case 1:
      bytes.append(kPreface).append(rest);
      break;
    default:
      bytes.append(rest);
  }
  static Edge<Service> edge(limits());
  edge.service().is_http2 = bytes.starts_with(kPreface);
  edge.run(bytes, Cutter(seed), std::size_t{1} << 20);
  edge.run(bytes, Cutter(seed), 7);
  return 0;
}
