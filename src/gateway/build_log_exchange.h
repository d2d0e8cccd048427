// GET {fn}/builds/{version}/logs: what a build printed, and with follow=true what it prints (SPEC 3).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "logs/build_logs.h"
#include "net/background.h"
#include "net/http_server.h"

namespace sterna::gateway {

struct BuildLogQuery {
  std::int64_t version = 0;
  bool follow = false;
};

// `tail` is what follows {fn}/builds. Fails with not_found when that is no /{version}/logs, with invalid,
// reason `bad_parameter`, naming the parameter.
Result<BuildLogQuery> parse_build_log_query(std::string_view tail, std::string_view query);

class BuildLogExchange final : public std::enable_shared_from_this<BuildLogExchange>,
                               private net::ResponseObserver,
                               private logs::BuildLogFollower {
 public:
  static void start(net::Loop& loop, net::Background& thread, logs::BuildLogs& logs,
                    net::HttpConnection& connection, const std::string& function_id,
                    const BuildLogQuery& query);

  BuildLogExchange(net::HttpConnection& connection, logs::BuildLogs& logs)
      : connection_(&connection), logs_(logs) {}

 private:
  void on_client_gone() override;
  void on_drained() override {}
  void on_server_ends() override;
  void on_build_line(std::string_view ndjson) override;
  void on_build_end() override;
  void answer(const Result<std::string>& text);
  void tell_what_is_left_out();

  net::HttpConnection* connection_;  // loop only; null when nothing is to be written any more
  bool ending_ = false;              // the server ends, and the client has a moment for what it has not taken
  logs::BuildLogs& logs_;
  std::uint64_t left_out_ = 0;              // lines since the follower fell behind
  std::shared_ptr<BuildLogExchange> self_;  // a follower lives as long as its client
};

}  // namespace sterna::gateway
