// GET {fn}/logs: what is on disk, and with follow=true what comes (SPEC 3).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "logs/function_logs.h"
#include "net/background.h"
#include "net/http_server.h"

namespace sterna::gateway {

struct LogQuery {
  logs::Query query;
  bool follow = false;
};

// Reads since, tail, call_id, follow and invocations. Fails with invalid, reason `bad_parameter`, naming it.
Result<LogQuery> parse_log_query(std::string_view query);

// HEAD of lines that are followed: nobody waits for them.
void answer_head_of_lines(net::HttpConnection& connection);

// Ends lines that nobody observes any more: in good form, unless the client does not take what there is.
void end_lines(net::HttpConnection& connection);

class LogExchange final : public std::enable_shared_from_this<LogExchange>, private net::ResponseObserver {
 public:
  static void start(net::Loop& loop, net::Background& thread, logs::FunctionLogs& logs,
                    net::HttpConnection& connection, const std::string& function_id, LogQuery query);

  LogExchange(net::HttpConnection& connection, bool follow) : connection_(&connection), follow_(follow) {}

 private:
  void on_client_gone() override;
  void on_drained() override {}
  void on_server_ends() override;
  void on_past(const Result<std::vector<logs::Record>>& records);
  void on_record(const logs::Record& record);
  void on_removed();

  net::HttpConnection* connection_;  // loop only; null when the client is gone
  bool follow_;
  bool streaming_ = false;
  bool ending_ = false;  // the server ends, and the client has a moment for what it has not taken
  std::string early_;    // what came while the past was still being read
  std::optional<logs::Subscription> subscription_;
  std::shared_ptr<LogExchange> self_;  // a follower lives as long as its client
};

}  // namespace sterna::gateway
