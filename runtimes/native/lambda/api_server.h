// Listens for the function's program: the address in AWS_LAMBDA_RUNTIME_API.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "native/lambda/api_connection.h"

namespace sterna::native {

class ApiServer final : public net::EventHandler {
 public:
  // Listens on the port on loopback, 0: on a free one. Fails with io.
  static Result<std::unique_ptr<ApiServer>> listen(net::Loop& loop, std::uint16_t port, ApiRouter& router);
  ~ApiServer() override;

  // "127.0.0.1:9001"
  const std::string& address() const { return address_; }

 private:
  ApiServer(net::Loop& loop, UniqueFd socket, std::string address, ApiRouter& router);
  void on_event(std::uint32_t events) override;
  void add(UniqueFd socket);

  net::Loop& loop_;
  UniqueFd socket_;
  const std::string address_;
  ApiRouter& router_;
  std::unordered_map<int, std::unique_ptr<ApiConnection>> connections_;
};

}  // namespace sterna::native
