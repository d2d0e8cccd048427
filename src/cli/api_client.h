// The management API as the commands use it: JSON in, JSON out, problem answers turned into errors.
#pragma once

#include <chrono>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "api/json.h"
#include "base/error.h"
#include "cli/http_client.h"
#include "cli/token_source.h"

namespace sterna::cli {

// Which server and space, and how to speak with the user: the global flags.
struct Target {
  std::string url = "http://127.0.0.1:8080";
  std::string space = "default";
  std::string token;
  std::string ca_file = {};  // PEM with the authorities that vouch for an https server; empty: the system's
  bool json = false;
  bool use_login = true;  // where no token is given
};

// Exit status of the program (docs/cli.md).
enum Exit : int {
  kExitOk = 0,
  kExitRefused = 1,        // the server said no, or a deployed function failed to start
  kExitUsage = 2,          // wrong flags, files or values
  kExitUnreachable = 3,    // no server at the URL
  kExitPlatformFault = 4,  // invoke: Sterna could not run the function
  kExitFunctionFault = 5,  // invoke: the function failed
};
int exit_code_of(const Error& error);

// An error in what the user typed or wrote into a file. Code invalid, reason `bad_usage`.
std::unexpected<Error> bad_usage(std::string detail);

// The error that an answer with a status of 400 and above stands for; field errors are part of the detail.
Error error_of(const HttpReply& reply);

inline constexpr std::size_t kAllItems = std::numeric_limits<std::size_t>::max();

struct ListPage {
  api::Json items;
  std::string next_cursor;  // empty: this is the last page
};

class Api {
 public:
  explicit Api(const Target& target) : target_(target), http_(target.ca_file), tokens_(target) {}

  // `path` begins with '/'. Fails with what error_of says, or as HttpClient does.
  Result<api::Json> get(const std::string& path);
  Result<api::Json> send(std::string method, const std::string& path, const api::Json& body);
  Result<api::Json> send(std::string method, const std::string& path);
  Result<api::Json> upload(const std::string& path, std::string_view content_type, std::string bytes);
  // One page of a list: the first, or the one that begins at `cursor`. `path` may have a query.
  Result<ListPage> page(const std::string& path, std::size_t limit, std::string_view cursor);
  // The items of a paged list, at most `limit`. `path` may have a query.
  Result<api::Json> list(const std::string& path, std::size_t limit = kAllItems);
  // `get`, for a request that the server may hold for `wait`.
  Result<api::Json> poll(const std::string& path, std::chrono::seconds wait);
  // The answer to any request, with any status.
  Result<HttpReply> fetch(HttpRequest request);

  // A request with the URL filled in; `fetch` and `stream` add the token, unless it has an Authorization
  // header of its own.
  HttpRequest request(std::string method, const std::string& path) const;
  Status stream(HttpRequest request, const HttpSinks& sinks);
  // Ends what is under way, and every later exchange at once: fails with `interrupted`. Any thread.
  void interrupt() { http_.interrupt(); }

 private:
  Result<api::Json> call(HttpRequest request);
  Status authorize(HttpRequest& request);
  Error explain(Error error) const;

  const Target& target_;
  HttpClient http_;
  TokenSource tokens_;
};

// "/spaces/{space}", "/spaces/{space}/functions/{name}". Fail with bad_usage when a name cannot be one.
Result<std::string> space_path(const Target& target);
Result<std::string> function_path(const Target& target, std::string_view name);

}  // namespace sterna::cli
