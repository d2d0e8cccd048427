// The HTTP/1.1 edge: a connection fed with any bytes. However they are cut into packets, the service must see
// the same requests: a parser that can be brought out of step by timing can be used to smuggle.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "edge.h"

namespace sterna::fuzz {
namespace {

using net::HttpConnection;

// Writes down what it is asked, and answers in each way that there is: at once, whole, streamed, later.
class Recorder final : public net::HttpService {
 public:
  explicit Recorder(net::Loop& loop) : loop_(loop) {}
  ~Recorder() override { late_.reset(); }

  std::vector<std::string> seen;
  bool owes_answers() const { return late_ && late_->connection != nullptr; }

  std::uint64_t on_head(HttpConnection& connection) override {
    if (connection.request().target.starts_with("/early")) {
      note("early", connection);
      connection.begin(404);
      connection.send("no");
    }
    return connection.request().target.starts_with("/small") ? 3 : 1000;
  }

  void on_request(HttpConnection& connection) override {
    note("request", connection);
    const std::string_view target = connection.request().target;
    if (target.starts_with("/late")) {
      late_ = std::make_unique<Late>(connection);
      loop_.post([this] { answer_late(); });
    } else if (target.starts_with("/stream")) {
      connection.begin(200);
      connection.begin_stream(std::nullopt);
      connection.write("part");
      connection.finish();
    } else {
      connection.begin(200);
      connection.header("X-Test", "yes");
      connection.send(connection.body().memory());
    }
  }

  void on_refused(HttpConnection& connection, unsigned status, const Error& error) override {
    must(status >= 400 && !error.reason.empty(), "a refusal has a status and a reason");
    seen.emplace_back("refused");
    connection.begin(status);
    connection.send(error.reason);
  }

 private:
  struct Late final : net::ResponseObserver {
    explicit Late(HttpConnection& to) : connection(&to) { to.observe(this); }
    ~Late() override {
      if (connection != nullptr) connection->observe(nullptr);
    }
    void on_client_gone() override { connection = nullptr; }
    void on_drained() override {}
    HttpConnection* connection;
  };

  void answer_late() {
    if (!late_) return;
    HttpConnection* connection = std::exchange(late_->connection, nullptr);
    late_.reset();
    if (connection == nullptr) return;
    connection->begin(200);
    connection->send("late");
  }

  void note(std::string_view what, const HttpConnection& connection) {
    const net::HttpRequest& request = connection.request();
    std::string line(what);
    line.append(" ").append(request.method).append(" ").append(request.target);
    for (const net::Header& header : request.headers) {
      line.append("\n").append(header.name).append(":").append(header.value);
    }
    line.append("\n").append(connection.body().memory());
    seen.push_back(std::move(line));
  }

  net::Loop& loop_;
  std::unique_ptr<Late> late_;
};

net::HttpLimits limits() {
  net::HttpLimits small;
  small.max_header_bytes = 512;
  return small;
}

// All that the service was told when `bytes` come in parts of at most `most`.
std::vector<std::string> told(std::string_view bytes, Cutter cutter, std::size_t most) {
  static Edge<Recorder> edge(limits());
  edge.run(bytes, cutter, most);
  return std::exchange(edge.service().seen, {});
}

}  // namespace
}  // namespace sterna::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sterna::fuzz;  // NOLINT(google-build-using-namespace): this program's own
  std::string_view rest = text_of(data, size);
  const Cutter cutter(take_byte(rest));
  const std::vector<std::string> whole = told(rest, cutter, std::size_t{1} << 20);
  const std::vector<std::string> parts = told(rest, cutter, 7);
  if (whole == parts) return 0;
  for (const std::string& line : whole) std::cerr << "whole: " << line << '\n';
  for (const std::string& line : parts) std::cerr << "parts: " << line << '\n';
  must(false, "requests do not depend on how their bytes are cut");
  return 0;
}
